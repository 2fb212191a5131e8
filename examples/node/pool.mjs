// A pool of pg whose every new connection takes the credential of a RotatingSecret.

import pg from 'pg'

/**
 * `options` are pg's own, without user and password. `maxLifetimeSeconds` among them is shorter than the rotation's
 * interval, and than `retire_after`.
 */
export class RotatingPool extends pg.Pool {
  #secret

  constructor(secret, options) {
    // pg hides the password of a pool's options only where the options name one.
    super({ ...options, user: undefined, password: undefined })
    this.#secret = secret
    // A connection that breaks is an event, which ends the process if nothing listens. Its query fails in any case.
    this.on('error', () => {})
    this.on('connect', (client) => client.on('error', () => {}))
  }

  connect(callback) {
    const connected = this.#secret.login((credentials, source) => this.#connectWith(credentials, source))
    if (!callback) return connected
    connected.then(
      (client) => callback(undefined, client, client.release),
      (error) => callback(error, undefined, () => {}),
    )
  }

  /** The pool makes a new client of its options before `connect` returns, so the pair stays together. */
  #connectWith({ username, password }, source) {
    const { user: formerUser, password: formerPassword } = this.options
    this.options.user = username
    this.options.password = password
    const connected = super.connect()
    if (source === 'AWSPENDING') {
      // What waits for a free place is connected later, and never with the pending pair.
      this.options.user = formerUser
      this.options.password = formerPassword
    }
    return connected
  }
}
