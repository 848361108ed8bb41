// Functions for dqbridge in JavaScript: dqworker --child 'node functions.mjs', see docs/children.md.
//
//     import * as dq from './dq.mjs'
//
//     dq.define('upper', (text) => text.toUpperCase(), { takes: 'string', returns: 'string' })
//     dq.serve()
//
// A function gets one item, one of defineBatch an array of them, and returns the result or a promise of it, or an array of
// as many. An Error fails the item; of a batch function it fails all, unless it is in the array in the place of a result.
// console.log writes to stderr, which the worker logs.

import { Console } from 'node:console'

/** The item fails for good, however many retries its stage has. */
export class Permanent extends Error {}

/** The function cannot run here now, whatever the item: another worker may. */
export class Unavailable extends Error {}

/** The item is tried again, if its stage has retries, after so many ms. */
export class RetryAfter extends Error {
  constructor(ms, message = 'try again later') {
    super(message)
    this.ms = ms
  }
}

const raw = { string: [(item) => item.toString(), (value) => Buffer.from(String(value))], bytes: [(item) => item, (value) => Buffer.from(value)] }
const json = [(item) => JSON.parse(item.toString()), encodeJSON]
const codecOf = (type) => (raw[type] ? 'raw' : 'json')
const functions = new Map()

function encodeJSON(value) {
  const text = JSON.stringify(value)
  if (text === undefined) throw new Permanent('the result is no JSON: return null for nothing')
  return Buffer.from(text)
}

/** Offers f, which takes an item. takes and returns are names of types, such as 'string', 'bytes', 'int', 'float', 'bool'. */
export function define(name, f, options = {}) {
  defineBatch(name, (items) => Promise.all(items.map((item) => attempt(() => f(item)))), options)
}

/** Offers f, which takes an array of items, at most options.max. */
export function defineBatch(name, f, { takes = 'any', returns = 'any', max = 0 } = {}) {
  const hello = { name, in: takes, in_codec: codecOf(takes), out: returns, out_codec: codecOf(returns), ...(max && { max }) }
  functions.set(name, { hello, f, decode: (raw[takes] ?? json)[0], encode: (raw[returns] ?? json)[1] })
}

/** Answers calls until the worker ends. */
export async function serve(input = process.stdin, output = process.stdout) {
  globalThis.console = new Console(process.stderr, process.stderr)
  output.write(JSON.stringify({ v: 1, functions: [...functions.values()].map((f) => f.hello) }) + '\n')
  for await (const [call, frame] of calls(input)) {
    const { f, decode, encode } = functions.get(call.function)
    try {
      const items = [...itemsOf(frame)].map((item) => attemptNow(() => decode(item)))
      const good = items.filter((item) => !(item instanceof Error))
      const made = good.length ? await f(good) : []
      if (made.length !== good.length) throw new Permanent(`${made.length} results for ${good.length} items`)
      let next = 0
      answer(output, call, items.map((item) => (item instanceof Error ? item : made[next++])), encode)
    } catch (error) {
      output.write(JSON.stringify({ call: call.call, error: failure(error) }) + '\n')
    }
  }
}

function answer(output, call, results, encode) {
  const parts = [Buffer.from([1])]
  for (const result of results) {
    let item = result instanceof Error ? result : attemptNow(() => encode(result))
    const failed = item instanceof Error
    if (failed) item = Buffer.from(JSON.stringify(failure(item)))
    parts.push(varint(item.length * 2 + failed), item)
  }
  const frame = Buffer.concat(parts)
  output.write(Buffer.concat([Buffer.from(JSON.stringify({ call: call.call, items: results.length, bytes: frame.length }) + '\n'), frame]))
}

async function attempt(f) {
  try {
    return await f()
  } catch (error) {
    return error instanceof Error ? error : new Error(String(error))
  }
}

function attemptNow(f) {
  try {
    return f()
  } catch (error) {
    return error
  }
}

function failure(error) {
  if (error instanceof Permanent) return { message: error.message, permanent: true }
  if (error instanceof Unavailable) return { message: error.message, unavailable: true }
  if (error instanceof RetryAfter) return { message: error.message, retry_after: error.ms }
  return { message: String(error) }
}

async function* calls(input) {
  let held = []
  let size = 0
  let head = null
  for await (const chunk of input) {
    held.push(chunk)
    size += chunk.length
    while (head ? size >= head.bytes : held.at(-1).includes(10) || held.length === 1) {
      let all = held.length === 1 ? held[0] : Buffer.concat(held)
      const end = head ? head.bytes : all.indexOf(10) + 1
      if (end === 0) break
      const part = all.subarray(0, end)
      all = all.subarray(end)
      held = [all]
      size = all.length
      if (head) {
        const call = head
        head = null
        yield [call, part]
      } else {
        head = JSON.parse(part.toString())
      }
    }
  }
}

function* itemsOf(frame) {
  for (let at = 1; at < frame.length; ) {
    let head = 0
    for (let unit = 1; ; unit *= 128) {
      const byte = frame[at++]
      head += (byte & 127) * unit
      if (byte < 128) break
    }
    const size = Math.floor(head / 2)
    yield frame.subarray(at, at + size)
    at += size
  }
}

function varint(n) {
  const bytes = []
  for (; n >= 128; n = Math.floor(n / 128)) bytes.push((n % 128) + 128)
  return Buffer.from([...bytes, n])
}
