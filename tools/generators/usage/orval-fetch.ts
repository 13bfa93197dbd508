// orval writes the requests and leaves it to the front end to send them.
export const session = { api: '', token: '' }

export async function send<T>(url: string, options: RequestInit): Promise<T> {
  const headers = new Headers(options.headers)
  if (session.token) {
    headers.set('Authorization', `Bearer ${session.token}`)
  }
  const response = await fetch(session.api + url, { ...options, headers })
  const text = await response.text()
  return { data: text ? JSON.parse(text) : undefined, status: response.status, headers: response.headers } as T
}
