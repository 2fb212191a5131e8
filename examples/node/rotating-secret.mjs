// Logs in with the credential that Secrets Manager holds, also while it is rotated.

import { setTimeout as sleep } from 'node:timers/promises'
import { GetSecretValueCommand, ResourceNotFoundException } from '@aws-sdk/client-secrets-manager'

/** User name and password always travel as one pair: with two users, both change. A private field is never printed. */
export class Credentials {
  #password

  constructor(text) {
    const { username, password } = JSON.parse(text)
    this.username = username
    this.#password = password
  }

  get password() {
    return this.#password
  }

  equals(other) {
    return this.username === other.username && this.#password === other.password
  }
}

export class RotatingSecret {
  #client
  #id
  #lifetime
  #budget
  #warn
  #cached
  #expires = 0
  // Of each read past the cache: when it began, and what it will find.
  #reads = {}

  /** `client` is AWS's client of Secrets Manager; `budget` is how long a login may take. Times in milliseconds. */
  constructor(id, client, { cache = 60_000, budget = 30_000, warn = console.warn } = {}) {
    this.#id = id
    this.#client = client
    this.#lifetime = cache
    this.#budget = budget
    this.#warn = warn
  }

  /**
   * Gives what `connect(credentials, source)` gives for the first credential that the server accepts.
   * Every error except a refused password (SQLSTATE 28P01) is passed on at once.
   */
  async login(connect) {
    const deadline = performance.now() + this.#budget
    let sources = ['cache', 'AWSCURRENT', 'AWSPENDING']
    for (let wait = 100; ; wait = Math.min(wait * 2, 2000)) {
      const since = performance.now()
      const tried = []
      let refusal
      for (const source of sources) {
        const credentials = source === 'cache' ? await this.#current() : await this.#read(source, since)
        if (!credentials || tried.some((other) => credentials.equals(other))) continue
        try {
          return await connect(credentials, source)
        } catch (error) {
          if (error.code !== '28P01') throw error
          refusal = error
        }
        this.#warn(`login refused: user ${credentials.username}, from ${source}`)
        tried.push(credentials)
      }
      // Each waits for another time, so that not all come back at once.
      const pause = (wait * (1 + Math.random())) / 2
      if (performance.now() + pause > deadline) throw refusal
      await sleep(pause)
      sources = sources.slice(-2)
    }
  }

  /** From the cache, once a read under way has ended. If Secrets Manager cannot be reached, the last value serves. */
  async #current() {
    const now = performance.now()
    const underWay = this.#reads.AWSCURRENT?.ended === false
    if (underWay || now >= this.#expires) {
      await this.#read('AWSCURRENT', underWay ? 0 : now).catch((error) => {
        if (!this.#cached) throw error
        this.#warn(`the secret cannot be read: ${error.name}`)
      })
    }
    return this.#cached
  }

  /** Reads past the cache, one read at a time. All whose attempt is older than a read share it. */
  async #read(stage, since) {
    for (;;) {
      const read = this.#reads[stage]
      if (read && read.began >= since) return read.found
      if (!read || read.ended) break
      await read.found.catch(() => {})
    }
    const read = { began: performance.now(), ended: false }
    this.#reads[stage] = read
    read.found = this.#fetch(stage).finally(() => (read.ended = true))
    return read.found
  }

  async #fetch(stage) {
    const command = new GetSecretValueCommand({ SecretId: this.#id, VersionStage: stage })
    try {
      const credentials = new Credentials((await this.#client.send(command)).SecretString)
      // The pending value is not kept: the rotation may still be taken back.
      if (stage === 'AWSCURRENT') {
        this.#cached = credentials
        this.#expires = performance.now() + this.#lifetime
      }
      return credentials
    } catch (error) {
      if (stage === 'AWSPENDING' && error instanceof ResourceNotFoundException) return null
      throw error
    }
  }
}
