// Titles as parts of addresses, many in a call:
//
//     dqbridge run --child 'node slugs.mjs' slug < titles
import * as dq from '../node/dq.mjs'

const slug = (title) =>
  title.normalize('NFKD').replace(/\p{M}/gu, '').toLowerCase().replace(/[^a-z0-9]+/g, '-').replace(/^-|-$/g, '')

dq.defineBatch('slug', (titles) => titles.map((title) => slug(title) || new dq.Permanent('nothing of it is left')), { takes: 'string', returns: 'string' })
dq.serve()
