// The page to which links in mail lead. Opening it changes nothing, since programs that look for viruses open links too:
// somebody has to press the button.
'use strict'
const part = (id) => document.getElementById(id)

const actions = {
  verify: { title: 'Confirm your email', done: 'Your email is confirmed.' },
  register: {
    title: 'Complete your registration',
    password: 'The password that you chose',
    autocomplete: 'current-password',
    done: 'You can log in now.',
  },
  reset: {
    title: 'Set a new password',
    password: 'New password',
    autocomplete: 'new-password',
    done: 'The password is set. You can log in with it now.',
  },
}

const [, linked, code] = /^#(verify|register|reset)=([A-Z2-7]{26})$/.exec(location.hash) ?? []
if (linked) {
  part('action').value = linked
  part('code').value = code
  part('action-label').hidden = part('code-label').hidden = true
  history.replaceState(null, '', location.pathname) // the code stays out of the history
}

function show() {
  const action = actions[part('action').value]
  part('title').textContent = part('button').textContent = action.title
  part('password-label').hidden = !action.password
  part('password-name').textContent = action.password ?? ''
  part('password').autocomplete = action.autocomplete ?? 'off'
}
part('action').addEventListener('change', show)
show()

async function send(name, password) {
  const text = part('code')
    .value.toUpperCase()
    .replaceAll(/[^A-Z2-7]/g, '')
  const [path, body] =
    name === 'reset'
      ? ['password-resets', { passwordReset: { password } }]
      : ['email-verifications', { verification: name === 'register' ? { password } : {} }]
  const answer = await fetch(`api/${path}/${text || 'none'}`, {
    method: 'PUT',
    headers: { 'Content-Type': 'application/json' },
    body: JSON.stringify(body),
  })
  if (answer.ok) return [true, actions[name].done]
  const wait = answer.headers.get('Retry-After')
  if (wait) return [false, `Try again in ${wait} seconds.`]
  const { errors } = await answer.json()
  if (errors.code) return [true, 'This code is not good any more. Ask for another one.']
  return [
    false,
    Object.entries(errors)
      .map(([field, messages]) => `${field} ${messages.join(', ')}`)
      .join('; '),
  ]
}

part('form').addEventListener('submit', async (event) => {
  event.preventDefault()
  part('button').disabled = true
  const [over, said] = await send(part('action').value, part('password').value).catch(() => [
    false,
    'The server cannot be reached. Try again.',
  ])
  part('said').textContent = said
  part('button').disabled = false
  part('form').hidden = over && Boolean(linked)
})
