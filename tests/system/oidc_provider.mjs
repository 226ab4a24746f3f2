// An OpenID Connect provider for tests, with new keys at each start. Its sign-in page takes any name and password.
// Arguments: its port, the client's secret, and the redirect URIs. It prints a line when it listens.
import { generateKeyPairSync, randomBytes } from 'node:crypto'
import Provider from 'oidc-provider'

const [port, secret, ...redirectUris] = process.argv.slice(2)
const key = generateKeyPairSync('rsa', { modulusLength: 2048 }).privateKey.export({ format: 'jwk' })

const provider = new Provider(`http://127.0.0.1:${port}`, {
  clients: [{ client_id: 'shopbell', client_secret: secret, redirect_uris: redirectUris }],
  claims: { openid: ['sub'], email: ['email', 'email_verified'], profile: ['name'] },
  findAccount: (_, name) => ({
    accountId: name,
    claims: () => ({ sub: name, email: `${name}@staff.example`, email_verified: true, name: 'Alice Archer' }),
  }),
  jwks: { keys: [{ ...key, alg: 'RS256', use: 'sig' }] },
  cookies: { keys: [randomBytes(32).toString('hex')] },
  pkce: { required: () => true },
})
provider.listen(Number(port), '127.0.0.1', () => console.log('listening'))
