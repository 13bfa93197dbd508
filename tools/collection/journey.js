// The way through the contract on which a run of the collection calls each operation once, in an order in which each
// finds what it needs. Somebody registers, writes, uses a second factor and leaves; then an admin looks at accounts.
//
// A step says which status the contract has for it here, if it is not a success, and why. Values of its path, members
// of its body and the token that it sends take variables, which earlier steps keep. before and after are what its
// scripts do.

// keep is a line of a script that keeps a part of the answer in a variable.
const keep = (variable, part) => `bru.setVar('${variable}', res.body.${part});`

// sent is the line of a script that calls an operation beside the journey, with the answer in data.
const sent = (method, path, body, token) => `const { data } = await bru.sendRequest({
  method: '${method}',
  url: bru.interpolate('{{baseUrl}}${path}'),
  headers: { 'Content-Type': 'application/json'${token ? `, Authorization: bru.interpolate('Bearer {{${token}}}')` : ''} },
  data: bru.interpolate(${JSON.stringify(JSON.stringify(body))}),
});`

// appCode makes the code that an authenticator app would show (RFC 6238), for there is no app in a run.
const appCode = `const CryptoJS = require('crypto-js');
const bits = [...bru.getVar('totpSecret')].map((digit) =>
  'ABCDEFGHIJKLMNOPQRSTUVWXYZ234567'.indexOf(digit).toString(2).padStart(5, '0')).join('');
const key = bits.match(/.{8}/g).map((byte) => parseInt(byte, 2).toString(16).padStart(2, '0')).join('');
const step = Math.floor(Date.now() / 30000).toString(16).padStart(16, '0');
const hex = CryptoJS.enc.Hex;
const hash = CryptoJS.HmacSHA1(hex.parse(step), hex.parse(key)).toString(hex);
const number = parseInt(hash.substr(2 * parseInt(hash[39], 16), 8), 16) & 0x7fffffff;
bru.setVar('appCode', String(number % 1000000).padStart(6, '0'));`

const account = { username: '{{username}}', email: '{{email}}', password: '{{password}}' }
const credentials = { email: '{{email}}', password: '{{password}}' }
const byMail = 'the code is in a mail, so the run shows one that nobody has'
const byIssuer = 'a server has this if it knows its URL (`--public-url`, or `--issuer`)'
const byDevice = 'an authenticator has to sign, so the run sends what the contract shows'

export const journey = [
  {
    operation: 'createUser',
    before: `const name = 'jake' + Math.random().toString(36).slice(2, 10);
bru.setVar('username', name);
bru.setVar('email', name + '@example.com');`,
    body: { user: account },
    after: keep('token', 'user.token'),
  },
  { operation: 'login', body: { user: credentials }, after: keep('token', 'user.token') },
  { operation: 'getCurrentUser' },
  { operation: 'updateCurrentUser' },

  {
    operation: 'createSession',
    body: { session: credentials },
    after: keep('refreshToken', 'session.refreshToken'),
  },
  {
    operation: 'refreshSession',
    body: { session: { refreshToken: '{{refreshToken}}' } },
    after: `${keep('refreshToken', 'session.refreshToken')}
${keep('accessToken', 'session.accessToken')}
${keep('sessionId', 'session.id')}`,
  },
  { operation: 'introspectToken', body: { token: '{{accessToken}}' } },
  {
    operation: 'getStatusList',
    before: `const payload = bru.getVar('accessToken').split('.')[1].replace(/-/g, '+').replace(/_/g, '/');
const { status } = JSON.parse(require('atob')(payload));
bru.setVar('listId', status ? status.status_list.uri.split('/').pop() : 'none');`,
    path: { listId: '{{listId}}' },
    status: [200, 404],
    why: byIssuer,
  },
  { operation: 'getSessions' },
  { operation: 'deleteSession', path: { sessionId: '{{sessionId}}' } },
  { operation: 'deleteOtherSessions' },
  {
    operation: 'streamUserEvents',
    token: 'accessToken',
    status: 401,
    why: 'the stream has no end and a run waits for one, so it is asked for with the token of a session that has ended',
  },

  { operation: 'getTags' },
  { operation: 'createArticle', after: keep('slug', 'article.slug') },
  { operation: 'getArticles' },
  { operation: 'getArticle', path: { slug: '{{slug}}' } },
  { operation: 'updateArticle', path: { slug: '{{slug}}' }, after: keep('slug', 'article.slug') },
  { operation: 'createArticleFavorite', path: { slug: '{{slug}}' } },
  { operation: 'deleteArticleFavorite', path: { slug: '{{slug}}' } },
  { operation: 'createArticleComment', path: { slug: '{{slug}}' }, after: keep('commentId', 'comment.id') },
  { operation: 'getArticleComments', path: { slug: '{{slug}}' } },
  { operation: 'deleteArticleComment', path: { slug: '{{slug}}', commentId: '{{commentId}}' } },
  { operation: 'deleteArticle', path: { slug: '{{slug}}' } },
  { operation: 'getProfileByUsername', path: { username: '{{adminUsername}}' } },
  { operation: 'followUserByUsername', path: { username: '{{adminUsername}}' } },
  { operation: 'getArticlesFeed' },
  { operation: 'unfollowUserByUsername', path: { username: '{{adminUsername}}' } },
  { operation: 'exportCurrentUser' },

  { operation: 'getFactors' },
  {
    operation: 'enrolTotp',
    body: { factor: { password: '{{password}}' } },
    after: keep('totpSecret', 'totp.secret'),
  },
  {
    operation: 'confirmTotp',
    before: appCode,
    body: { factor: { code: '{{appCode}}' } },
    after: keep('recoveryCode', 'recoveryCodes[0]'),
  },
  {
    operation: 'createRecoveryCodes',
    body: { factor: { code: '{{recoveryCode}}' } },
    after: `bru.setVar('recoveryCodes', res.body.recoveryCodes);
${keep('recoveryCode', 'recoveryCodes[0]')}`,
  },
  {
    operation: 'answerChallenge',
    before: `${sent('POST', '/sessions', { session: credentials })}
bru.setVar('challenge', data.challenge.token);`,
    body: { challenge: { token: '{{challenge}}', code: '{{recoveryCode}}' } },
    after: keep('anotherToken', 'session.accessToken'),
  },
  {
    operation: 'createProof',
    before: `bru.setVar('recoveryCode', bru.getVar('recoveryCodes')[1]);`,
    body: { proof: { password: '{{password}}', code: '{{recoveryCode}}' } },
  },
  {
    operation: 'removeTotp',
    before: `bru.setVar('recoveryCode', bru.getVar('recoveryCodes')[2]);`,
    body: { factor: { code: '{{recoveryCode}}' } },
  },
  { operation: 'revokeToken', body: { token: '{{anotherToken}}' } },

  { operation: 'getPasskeys' },
  { operation: 'createPasskeyChallenge' },
  { operation: 'createPasskey', status: 422, why: byDevice },
  { operation: 'createPasskeyProofChallenge', status: 404, why: 'there is no passkey' },
  { operation: 'createPasskeyProof', status: 422, why: byDevice },
  { operation: 'createPasskeyLoginChallenge' },
  { operation: 'createPasskeySession', status: 422, why: byDevice },
  { operation: 'updatePasskey', status: 404, why: 'there is no passkey' },
  { operation: 'deletePasskey', status: 404, why: 'there is no passkey' },

  { operation: 'requestEmailVerification' },
  { operation: 'confirmEmail', status: 404, why: byMail },
  { operation: 'requestPasswordReset', body: { passwordReset: { email: '{{email}}' } } },
  { operation: 'resetPassword', status: 404, why: byMail },

  { operation: 'logout' },
  {
    operation: 'deleteCurrentUser',
    before: `${sent('POST', '/users/login', { user: credentials })}
bru.setVar('token', data.user.token);`,
    body: { user: { password: '{{password}}' } },
  },

  {
    operation: 'getAccounts',
    token: 'adminToken',
    before: `const victim = 'jane' + Math.random().toString(36).slice(2, 10);
bru.setVar('somebody', victim);
${sent('POST', '/users', { user: { username: '{{somebody}}', email: '{{somebody}}@example.com', password: '{{password}}' } })}`,
    query: { search: '{{somebody}}' },
    after: keep('userId', 'users[0].id'),
  },
  { operation: 'getAccount', token: 'adminToken', path: { userId: '{{userId}}' } },
  { operation: 'getAllSessions', token: 'adminToken' },
  {
    operation: 'getAccountSessions',
    token: 'adminToken',
    path: { userId: '{{userId}}' },
    after: keep('sessionId', 'sessions[0].id'),
  },
  { operation: 'deleteAccountSession', token: 'adminToken', path: { sessionId: '{{sessionId}}' } },
  { operation: 'deleteAccountSessions', token: 'adminToken', path: { userId: '{{userId}}' } },
  { operation: 'updateAccount', token: 'adminToken', path: { userId: '{{userId}}' } },
  { operation: 'deleteAccount', token: 'adminToken', path: { userId: '{{userId}}' } },
  { operation: 'getAuditEvents', token: 'adminToken' },
  { operation: 'getMails', token: 'adminToken' },
  { operation: 'retryMail', token: 'adminToken', status: 404, why: 'no mail has failed' },
  { operation: 'getSigningKeys', token: 'adminToken' },
  { operation: 'rotateSigningKeys', token: 'adminToken' },
  {
    operation: 'revokeSigningKey',
    token: 'adminToken',
    status: 404,
    why: 'revoking a key ends every session of it, so the run names a key that nobody has',
  },
  { operation: 'getJwks' },
  { operation: 'getServerMetadata', status: [200, 404], why: byIssuer },
]
