import { expect, test } from 'vitest'

import { takeApart } from '../src/eventStream.js'

const bytesOf = (text: string) => new TextEncoder().encode(text)

/** What a stream says that comes in these pieces. */
function said(...pieces: Uint8Array[]) {
  const take = takeApart()
  return pieces.flatMap((piece) => take(piece))
}

test.each([
  ['an event', 'id: 1\nevent: login\ndata: {}\n\n', [{ id: '1', event: 'login', data: '{}' }]],
  ['an id without an event', 'retry: 2000\nid: 1\n\n', [{ retry: 2000, id: '1' }]],
  ['no space behind the colon, or two', 'data:a\ndata:  b\n\n', [{ data: 'a\n b' }]],
  ['several lines of data, and empty ones', 'data: a\ndata\ndata:\n\n', [{ data: 'a\n\n' }]],
  ['a comment', ': nothing\n\n:\ndata: a\n\n', [{ data: 'a' }]],
  ['an id with NUL', 'id: 1\nid: 2\0\ndata: a\n\n', [{ id: '1', data: 'a' }]],
  ['an empty id', 'id\ndata: a\n\n', [{ id: '', data: 'a' }]],
  ['a field that nobody knows', 'date: 1\nDATA: b\n data: c\ndata: a\n\n', [{ data: 'a' }]],
  ['a time that is none', 'retry: 1s\nretry: -1\nretry\ndata: a\n\n', [{ data: 'a' }]],
  ['a byte order mark', '\ufeffdata: a\n\n\ufeffdata: b\n\ndata: \ufeff\n\n', [{ data: 'a' }, { data: '\ufeff' }]],
  [
    'other ends of lines',
    'data: a\r\rdata: b\r\n\r\ndata: c\r\n\rdata: d\n\r',
    ['a', 'b', 'c', 'd'].map((data) => ({ data })),
  ],
  ['what has not ended', 'data: a\n\ndata: b\n', [{ data: 'a' }]],
  ['other scripts', 'data: žluťoučký 🐉\n\n', [{ data: 'žluťoučký 🐉' }]],
])('%s is read the same, wherever the stream is cut', (_, stream, want) => {
  const bytes = bytesOf(stream)
  expect(said(bytes)).toEqual(want)
  expect(said(...Array.from(bytes, (byte) => Uint8Array.of(byte)))).toEqual(want)
  for (let i = 0; i <= bytes.length; i++) {
    for (let j = i; j <= bytes.length; j++) {
      expect(said(bytes.slice(0, i), bytes.slice(i, j), bytes.slice(j))).toEqual(want)
    }
  }
})

test('an event comes with its last byte', () => {
  const take = takeApart()
  expect(take(bytesOf('data: a\r\n\r'))).toEqual([{ data: 'a' }])
  expect(take(bytesOf('\n'))).toEqual([])
  expect(take(bytesOf('\ndata: b\n\n'))).toEqual([{ data: 'b' }])
})

test('an event without an end does not fill the memory, and comments do not count', () => {
  const take = takeApart()
  for (let i = 0; i < 2000; i++) {
    expect(take(bytesOf(`: ${'x'.repeat(1000)}\n`))).toEqual([])
  }
  const endless = () => {
    for (let i = 0; i < 2000; i++) {
      take(bytesOf('data: '.padEnd(1000, 'x')))
    }
  }
  expect(endless).toThrow(RangeError)
  const lines = takeApart()
  expect(() => {
    for (let i = 0; i < 2000; i++) {
      lines(bytesOf(`${'data: '.padEnd(1000, 'x')}\n`))
    }
  }).toThrow(RangeError)
})
