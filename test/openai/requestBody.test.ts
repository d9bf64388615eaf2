import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { GatewayFault } from '../../src/faults.ts'
import { requestSteps, type OpenAiRequest } from '../../src/openai/requestBody.ts'
import { atOnce } from '../kit/steps.ts'

function readOpenAiRequest(...given: Parameters<typeof requestSteps>): OpenAiRequest {
  return atOnce(requestSteps(...given))
}

const json = (text: string) => readOpenAiRequest(Buffer.from(text), 'application/json')

function form(text: string, contentType = 'multipart/form-data; boundary=X'): OpenAiRequest {
  return readOpenAiRequest(Buffer.from(text.replaceAll('\n', '\r\n'), 'latin1'), contentType)
}

const refused = (code: string) => (error: unknown) => error instanceof GatewayFault && error.code === code

describe('a JSON body', () => {
  test('tells its model, unescaped, the last of several as Python reads them', () => {
    assert.equal(json('{"model":"a\\u002fb"}').model, 'a/b')
    assert.equal(json(' {"model":"a","x":{"model":"c"},"mod\\u0065l":"b"} ').model, 'b')
  })

  test('is read as JSON whatever its type', () => {
    for (const type of [undefined, 'text/plain', 'application/octet-stream']) {
      assert.equal(readOpenAiRequest(Buffer.from('{"model":"a"}'), type).model, 'a')
    }
  })

  test('names its session by prompt_cache_key, else by user, if they are texts', () => {
    assert.equal(json('{"model":"a","user":"u","prompt_cache_key":"k"}').session, 'k')
    assert.equal(json('{"model":"a","user":"u","prompt_cache_key":null}').session, 'u')
    assert.equal(json('{"model":"a","user":7}').session, undefined)
  })

  test('says whether its work goes on in the background', () => {
    const bodies = [
      '{"model":"a","background":true}',
      '{"model":"a","background":false}',
      '{"model":"a","background":"true"}',
    ]
    assert.deepEqual(
      bodies.map((text) => json(text).isBackground),
      [true, false, false],
    )
  })

  test('without a model, or that is none, is refused', () => {
    for (const text of ['{}', '{"model":""}', '{"model":1}', '{"model":null}']) {
      assert.throws(() => json(text), refused('ERR_NO_MODEL'), text)
    }
    for (const text of ['', 'x', '[]', '{"model":"a"', '{"model":"\\ud800x}']) {
      assert.throws(() => json(text), refused('ERR_BAD_JSON'), text)
    }
  })

  test('may nest deeply and hold large numbers: it is not for us to read', () => {
    const depth = 20_000
    const text = `{"x":${'['.repeat(depth)}${']'.repeat(depth)},"y":${'9'.repeat(10_000)},"model":"a"}`
    assert.equal(json(text).model, 'a')
  })
})

describe('a form', () => {
  const MODEL = '--X\nContent-Disposition: form-data; name="model"\n\nm\n'
  const END = '--X--\n'

  test('tells its model and its user', () => {
    const user = '--X\nContent-Disposition: form-data; name=user\nContent-Type: text/plain\n\nu\n'
    for (const [text, wanted] of [
      [MODEL + user + END, 'u'],
      [user + MODEL + END, 'u'],
      [`a preamble\n${MODEL}${END}`, undefined],
    ] as const) {
      const { model, session } = form(text)
      assert.deepEqual([model, session], ['m', wanted])
    }
  })

  test('may have its boundary in quotes, and among other parameters', () => {
    const type = 'Multipart/Form-Data; charset=utf-8; Boundary="X Y"; x=y'
    assert.equal(form('--X Y\ncontent-disposition:form-data; name="model"\n\nm\n--X Y--\n', type).model, 'm')
  })

  test('has fields and files: a file named model is no model', () => {
    const named = '--X\nContent-Disposition: form-data; name="model"; filename="m.bin"\n\nfile\n'
    assert.equal(form(named + MODEL + END).model, 'm')
    assert.throws(() => form(named + END), refused('ERR_NO_MODEL'))
  })

  test('is not searched within its files', () => {
    const file =
      '--X\nContent-Disposition: form-data; name="f"; filename="f"\n\nx--X\nContent-Disposition: form-data; name="model"\n\nno\n'
    assert.equal(form(file + MODEL + END).model, 'm')
  })

  test('without a whole model is refused', () => {
    for (const text of [
      '',
      END,
      MODEL.slice(0, -1),
      MODEL.replace('\nm\n', '\n\n') + END,
      `x${MODEL}`.replace('--X', '--Y'),
    ]) {
      assert.throws(() => form(text), refused('ERR_NO_MODEL'), text)
    }
    const long = MODEL.replace('\nm\n', `\n${'m'.repeat(1001)}\n`)
    assert.throws(() => form(long + END), refused('ERR_NO_MODEL'))
    assert.throws(() => form(MODEL + END, 'multipart/form-data'), refused('ERR_BAD_SHAPE'))
  })

  test('has a boundary of at most 70 characters', () => {
    const ofLength = (length: number): ReturnType<typeof form> => {
      const boundary = 'X'.repeat(length)
      return form((MODEL + END).replaceAll('X', boundary), `multipart/form-data; boundary=${boundary}`)
    }
    assert.equal(ofLength(70).model, 'm')
    assert.throws(() => ofLength(71), refused('ERR_BAD_SHAPE'))
  })

  test('with millions of parts, heads without an end, or a boundary hard to find costs no time', () => {
    const type = 'multipart/form-data; boundary='
    const hostile = [
      ...['\r\n--X'.repeat(1_500_000), '--X\r\n'.repeat(2_000_000), '--X'.repeat(3_000_000)].map((text) => [text, 'X']),
      ...[69, 20_000].map((length) => ['-'.repeat(1_000_000), `b${'-'.repeat(length)}`]),
    ].map(([text, boundary]) => [Buffer.from(`${text}\r\n\r\n`), type + boundary] as const)
    const startMs = performance.now()
    for (const [body, contentType] of hostile) {
      assert.throws(() => readOpenAiRequest(body, contentType), GatewayFault)
    }
    // A fraction of a second, where the work grows with the length alone; minutes where it grows with its square.
    assert.ok(performance.now() - startMs < 20_000)
  })
})

describe('the model in a body', () => {
  const withModels = (body: string, type: string, models: string[], pathModel?: string): string[] => {
    const request = readOpenAiRequest(Buffer.from(body), type, pathModel)
    return models.map((model) => request.body.withModel(model).toString())
  }
  const JSON_TYPE = 'application/json'

  test('is replaced in its place, and comes back as the client wrote it; all other bytes stay', () => {
    const body = ' {"n":1e2,"model" : "a\\u002fb" ,"seed":123456789012345678901} '
    assert.deepEqual(withModels(body, JSON_TYPE, ['a/b', 'longer "name"', 'x', 'a/b']), [
      body,
      body.replace('"a\\u002fb"', '"longer \\"name\\""'),
      body.replace('"a\\u002fb"', '"x"'),
      body,
    ])
  })

  test('that stands there several times is replaced where it counts: the last time', () => {
    assert.deepEqual(withModels('{"model":"a","model":"b"}', JSON_TYPE, ['c']), ['{"model":"a","model":"c"}'])
  })

  test('is put first where the path alone names it, and replaced where the body names another', () => {
    assert.deepEqual(withModels(' { "n":1}', JSON_TYPE, ['m', 'x'], 'm'), [
      ' {"model":"m", "n":1}',
      ' {"model":"x", "n":1}',
    ])
    assert.deepEqual(withModels('{}', JSON_TYPE, ['m'], 'm'), ['{"model":"m"}'])
    assert.deepEqual(withModels('{"model":null}', JSON_TYPE, ['m'], 'm'), ['{"model":"m"}'])
    assert.deepEqual(withModels('{"model":"b"}', JSON_TYPE, ['m', 'b'], 'm'), ['{"model":"m"}', '{"model":"b"}'])
  })

  test('of a form is replaced in its field, or put into a field of its own', () => {
    const type = 'multipart/form-data; boundary=X'
    const field = (model: string): string => `--X\r\nContent-Disposition: form-data; name="model"\r\n\r\n${model}\r\n`
    const rest = '--X\r\nContent-Disposition: form-data; name="f"; filename="f"\r\n\r\n\u0000\r\n--X--\r\n'
    assert.deepEqual(withModels(field('a') + rest, type, ['longer', 'a']), [field('longer') + rest, field('a') + rest])
    assert.deepEqual(withModels(rest, type, ['m'], 'm'), [field('m') + rest])
  })
})

test('a model stands anywhere among the fields of a form', () => {
  const field = (name: string): string => `--X\nContent-Disposition: form-data; name="${name}"\n\nvalue\n`
  const fields = Array.from({ length: 500 }, (_, i) => field(`field ${i}`)).join('')
  assert.equal(form(`${fields}${field('model')}--X--\n`).model, 'value')
})
