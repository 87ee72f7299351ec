import { accessSync, constants } from "node:fs";
import { TestAuthority, SIGNS_LISTS } from "../kits/tls.ts";
import { VaultServer } from "../kits/vault-server.ts";
import { RealVault } from "./real-vault.ts";

export const MESH = "mesh.example";
/** As the API server of the management cluster makes them, for our own account and another one. */
export interface AccountTokens {
  readonly ours: string;
  readonly other: string;
}

/**
 * A Vault to run against: a root in mount `pki`, an issuer `mesh` of path length 1 under it in `pki_int`, with the role `gloo-mesh` of guide
 * 004; `auth/kubernetes` with a role of that name, whose tokens have the policy that `allow` says.
 */
export interface VaultLab extends AsyncDisposable {
  readonly name: string;
  readonly server: string;
  /** PEM. */
  readonly ca: string;
  readonly accounts: AccountTokens;
  /** From nothing to unsealed; until then it is not initialised. */
  initialize(): Promise<void>;
  seal(): Promise<void>;
  unseal(): Promise<void>;
  /** As `update pki_int/root/sign-intermediate`: all that the policy allows. */
  allow(lines: readonly string[]): Promise<void>;
  /** Writes fields of the role. */
  writeRole(fields: Readonly<Record<string, unknown>>): Promise<void>;
  /** A token of that policy. */
  token(): Promise<string>;
  renewed(token: string): Promise<boolean>;
  /** Ends all tokens of logins. */
  revoke(): Promise<void>;
  /** The certificate that a role's path makes of a request, in PEM. */
  signByRole(csr: string): Promise<string>;
}

/** The real one that `VAULT` names, or the stand-in. @throws if it names none. */
export async function vaultLab(environment: NodeJS.ProcessEnv): Promise<VaultLab> {
  const binary = environment["VAULT"];
  if (binary === undefined) return StandIn.start();
  accessSync(binary, constants.X_OK);
  return RealVault.start(binary);
}

const YEAR_MS = 365 * 86_400_000;

class StandIn implements VaultLab {
  readonly name = "the stand-in; VAULT=/path/to/bao names a real one";
  readonly accounts = { ours: "token-of-ours", other: "token-of-another" };
  readonly #server: VaultServer;
  readonly #allowed: Set<string>;
  readonly #role: Record<string, unknown>;

  private constructor(server: VaultServer, allowed: Set<string>, role: Record<string, unknown>) {
    this.#server = server;
    this.#allowed = allowed;
    this.#role = role;
    server.initialized = false;
  }

  static async start(): Promise<VaultLab> {
    const shape = { notBeforeMs: Date.now() - 60_000, notAfterMs: Date.now() + YEAR_MS, usages: SIGNS_LISTS };
    const root = await TestAuthority.create({ ...shape, name: "CN=mesh root" });
    const issuer = await TestAuthority.create({ ...shape, name: "CN=mesh intermediates", pathLength: 1 }, root);
    const allowed = new Set<string>();
    const role = { max_ttl: 0, allowed_uri_sans: [] };
    const kubernetes = { role: "gloo-mesh", jwts: new Set(["token-of-ours"]), leaseSeconds: 3600, renewable: true };
    const engines = { pki: { issuer: root }, pki_int: { issuer, above: [root], roles: { "gloo-mesh": role } } };
    const clock = { now: () => Date.now(), elapsedMs: () => performance.now() };
    return new StandIn(await VaultServer.start(clock, { engines, kubernetes, allowed }), allowed, role);
  }

  get server(): string {
    return this.#server.url;
  }
  get ca(): string {
    return this.#server.ca;
  }
  initialize(): Promise<void> {
    this.#server.initialized = true;
    return Promise.resolve();
  }
  seal(): Promise<void> {
    this.#server.sealed = true;
    return Promise.resolve();
  }
  unseal(): Promise<void> {
    this.#server.sealed = false;
    return Promise.resolve();
  }
  allow(lines: readonly string[]): Promise<void> {
    this.#allowed.clear();
    for (const line of lines) this.#allowed.add(line);
    return Promise.resolve();
  }
  writeRole(fields: Readonly<Record<string, unknown>>): Promise<void> {
    Object.assign(this.#role, fields);
    return Promise.resolve();
  }
  token(): Promise<string> {
    this.#server.addToken("s.made", 3600, true);
    return Promise.resolve("s.made");
  }
  renewed(token: string): Promise<boolean> {
    const { asked } = this.#server;
    return Promise.resolve(asked.some((one) => one.token === token && one.path === "/v1/auth/token/renew-self"));
  }
  revoke(): Promise<void> {
    this.#server.tokens.clear();
    return Promise.resolve();
  }
  async signByRole(csr: string): Promise<string> {
    const { data } = await this.#server.engines.get("pki_int")!.signLeaf({ csr, common_name: "leaf" });
    return String(data!["certificate"]);
  }
  [Symbol.asyncDispose](): Promise<void> {
    return this.#server[Symbol.asyncDispose]();
  }
}
