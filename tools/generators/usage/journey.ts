// What the usage files have in common. Each exports journey, which goes the same way through the API with another client.

export const credentials = { email: 'johndoe@example.com', password: 'password123' } // of the demo content
export const draft = {
  title: 'How to generate a client',
  description: 'Without writing it',
  body: 'From the contract',
  tagList: ['clients', 'types'],
}

// Journey is what has to come out, whatever the client; generators.test.js knows the values.
export interface Journey {
  listed: number
  username: string
  favorited: { anonymous: boolean; loggedIn: boolean }
  bio: string | null
  tagList: string[]
  errors: Record<string, string[]>
}

// The members that answers always have, as a front end relies on them. The contract may add others.
export interface User {
  username: string
  email: string
  token: string
  bio: string | null
  image: string | null
}
export interface Profile {
  username: string
  bio: string | null
  image: string | null
  following: boolean
}
export interface ArticleSummary {
  slug: string
  title: string
  description: string
  tagList: string[]
  createdAt: string
  updatedAt: string
  favorited: boolean
  favoritesCount: number
}
export interface Article extends ArticleSummary {
  body: string
}
export interface Page {
  articlesCount: number
  nextCursor: string | null
}
export interface Failure {
  errors: Record<string, string[]>
}

// Whether something unknown extends two types is the same question only if they are the same type. So any is found too, however
// deep. The question is written out twice, for under a name TypeScript would compare what it is asked about, and any agrees with all.
type Same<A, B> =
  (<Any>() => Any extends A ? true : false) extends <Any>() => Any extends B ? true : false ? true : false
type Unlike<Actual, Expected> = {
  [K in keyof Expected]: K extends keyof Actual ? (Same<Actual[K], Expected[K]> extends true ? never : K) : K
}[keyof Expected]

// having compiles only if each member of Expected is in the value's type, neither optional nor any, with the very same type:
// a `bio` that lost its null is found, and one that became optional. The compiler's message names the member as `unlike`.
export const having =
  <Expected>() =>
  <Actual>(
    value: Actual & ([Unlike<Actual, Expected>] extends [never] ? unknown : { unlike: Unlike<Actual, Expected> }),
  ) =>
    value

// nothing compiles only for an answer that has no body.
export function nothing(_answer: void) {}

// given is for clients which type an answer as possibly absent, for it might be an error.
export function given<T>(value: T | undefined): T {
  if (value === undefined) {
    throw new Error('an answer has no body')
  }
  return value
}
