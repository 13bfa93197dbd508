/** What one block of an event stream says. A block may say no more than an id: up to where the stream has come. */
export interface Message {
  id?: string | undefined
  event?: string | undefined
  data?: string | undefined
  retry?: number | undefined
}

/** How much a block may have that has not ended, in characters. Conduit's have a few hundred. */
const longest = 1 << 20

/**
 * Takes an event stream apart (HTML Standard, section 9.2.6), however it was cut on its way. eventsource-parser, which
 * is made for this, forgets an id that comes without data; and that is what a stream begins with.
 */
export function takeApart(): (bytes: Uint8Array) => Message[] {
  const decoder = new TextDecoder() // drops the byte order mark at the beginning
  let rest = ''
  let block: Message = {}
  let size = 0
  let afterReturn = false

  function line(text: string, ended: Message[]) {
    if (text === '') {
      if (Object.keys(block).length > 0) {
        ended.push(block)
      }
      block = {}
      size = 0
      return
    }
    const colon = text.indexOf(':')
    if (colon === 0) {
      return // A comment.
    }
    size += text.length
    const field = colon === -1 ? text : text.slice(0, colon)
    const value = colon === -1 ? '' : text.slice(text[colon + 1] === ' ' ? colon + 2 : colon + 1)
    if (field === 'data') {
      block.data = block.data === undefined ? value : `${block.data}\n${value}`
    } else if (field === 'event') {
      block.event = value
    } else if (field === 'id' && !value.includes('\0')) {
      block.id = value
    } else if (field === 'retry' && /^[0-9]+$/.test(value)) {
      block.retry = Number(value)
    }
  }

  return (bytes) => {
    const came = decoder.decode(bytes, { stream: true })
    const text = afterReturn && came.startsWith('\n') ? came.slice(1) : came // without the second half of a line's end
    if (came !== '') {
      afterReturn = came.endsWith('\r')
    }
    const ended: Message[] = []
    const lines = text.split(/\r\n|\r|\n/)
    lines[0] = rest + lines[0]
    rest = lines.pop()!
    for (const each of lines) {
      line(each, ended)
    }
    if (size + rest.length > longest) {
      throw new RangeError('an event of the stream has no end')
    }
    return ended
  }
}
