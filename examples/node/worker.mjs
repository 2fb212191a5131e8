// An application for the tests: it answers each line of JSON on standard input by one on standard output.
//
// {"id": 1, "do": "work", "row": 7} inserts a row, {"id": 2, "do": "login", "row": 8} the same over a new connection,
// {"id": 3, "do": "show"} shows what a debugger would.

import fs from 'node:fs'
import readline from 'node:readline'
import { inspect } from 'node:util'
import { SecretsManagerClient } from '@aws-sdk/client-secrets-manager'
import { RotatingPool } from './pool.mjs'
import { RotatingSecret } from './rotating-secret.mjs'

const INSERT = 'INSERT INTO orders (id) VALUES ($1) RETURNING session_user::text AS user, pg_backend_pid() AS session'

const settings = JSON.parse(process.env.SETTINGS)
const { host, port, dbname: database, sslrootcert } = settings.server
const client = new SecretsManagerClient({ logger: settings.log === 'DEBUG' ? console : undefined })
console.log = console.info = console.debug = console.trace = console.error
const secret = new RotatingSecret(settings.secret, client, {
  cache: settings.cache_seconds * 1000,
  budget: settings.budget_seconds * 1000,
  warn: console.error,
})
const pool = new RotatingPool(secret, {
  host,
  port,
  database,
  ssl: { ca: fs.readFileSync(sslrootcert, 'utf8') },
  max: settings.sessions,
  maxLifetimeSeconds: settings.max_lifetime,
})

async function show() {
  const session = await pool.connect()
  const credentials = await secret.login(async (each) => each)
  const seen = [secret, credentials, pool, pool.options, session]
  session.release()
  return { shown: seen.map((each) => inspect(each, { depth: 9 }) + JSON.stringify(credentials)).join('\n') }
}

async function work({ row, do: what }) {
  const session = await pool.connect()
  let broken = what === 'login'
  try {
    return (await session.query(INSERT, [row])).rows[0]
  } catch (error) {
    broken = error
    throw error
  } finally {
    session.release(broken)
  }
}

readline.createInterface({ input: process.stdin }).on('line', async (line) => {
  const request = JSON.parse(line)
  let answer
  try {
    answer = request.do === 'show' ? await show() : await work(request)
  } catch (error) {
    answer = { error: `${error.name} ${error.code} ${error.message}` }
  }
  process.stdout.write(JSON.stringify({ id: request.id, ...answer }) + '\n')
})
