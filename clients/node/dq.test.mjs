// Tests of dq.mjs: node --test clients/node
import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { test } from 'node:test'

const program = `
import * as dq from ${JSON.stringify(new URL('dq.mjs', import.meta.url).href)}
dq.define('upper', async (text) => text.toUpperCase(), { takes: 'string', returns: 'string' })
dq.define('third', (x) => {
  if (x === 2) throw new dq.Permanent('two')
  if (x === 3) throw new dq.RetryAfter(1500, 'three')
  if (x === 4) throw new dq.Unavailable('four')
  console.log('a print')
  return x
}, { takes: 'int', returns: 'int', max: 7 })
dq.defineBatch('short', (items) => items.slice(1))
dq.serve()
`

const frame = (...items) =>
  Buffer.concat([Buffer.from([1]), ...items.flatMap((item) => [Buffer.from(head(Buffer.byteLength(item) * 2)), Buffer.from(item)])])

function head(n) {
  const bytes = []
  for (; n >= 128; n = Math.floor(n / 128)) bytes.push((n % 128) + 128)
  return [...bytes, n]
}

async function ask(calls, cut) {
  const child = spawn(process.execPath, ['--input-type=module', '-e', program], { stdio: ['pipe', 'pipe', 'pipe'] })
  const sent = Buffer.concat(calls.flatMap(([name, items], i) => {
    const body = frame(...items)
    return [Buffer.from(JSON.stringify({ call: i + 1, function: name, items: items.length, bytes: body.length }) + '\n'), body]
  }))
  for (let at = 0; at < sent.length; at += cut) child.stdin.write(sent.subarray(at, at + cut))
  child.stdin.end()
  return Buffer.concat(await child.stdout.toArray())
}

test('calls are answered, however they are cut', async () => {
  const long = 'x'.repeat(10000)
  const calls = [['upper', ['ab', '', 'ü', long]], ['third', ['1', '2', '3', '4', 'no']], ['short', ['1', '2']]]
  for (const cut of [1 << 20, 1000, 7]) {
    const out = await ask(calls, cut)
    const hello = JSON.parse(out.subarray(0, out.indexOf(10)).toString())
    assert.equal(hello.v, 1)
    assert.deepEqual(hello.functions[1], { name: 'third', in: 'int', in_codec: 'json', out: 'int', out_codec: 'json', max: 7 })
    let at = out.indexOf(10) + 1
    const answers = []
    while (at < out.length) {
      const end = out.indexOf(10, at)
      const line = JSON.parse(out.subarray(at, end).toString())
      at = end + 1 + (line.bytes ?? 0)
      answers.push([line, out.subarray(end + 1, at).toString()])
    }
    assert.equal(answers[0][1], frame('AB', '', 'Ü', long.toUpperCase()).toString())
    assert.equal(answers[1][0].items, 5)
    for (const text of ['{"message":"two","permanent":true}', '{"message":"three","retry_after":1500}', '{"message":"four","unavailable":true}', 'SyntaxError']) {
      assert.ok(answers[1][1].includes(text), text)
    }
    assert.deepEqual(answers[2][0], { call: 3, error: { message: '1 results for 2 items', permanent: true } })
  }
})
