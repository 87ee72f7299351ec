import { X509Certificate } from "node:crypto";
import { readCertificate } from "../../../src/ca/certificate-fields.ts";
import type { Clock } from "../../../src/host.ts";
import { MeshError } from "../../../src/errors.ts";
import { clusterId } from "../../../src/names.ts";
import type { IntermediateOrder, Issuer } from "../../../src/manager/issuer.ts";
import type { VaultAuth, VaultSpec } from "../../../src/manager/policy.ts";
import { CheckedIssuer } from "../../../src/manager/issuers/checked.ts";
import { VaultIssuer } from "../../../src/manager/vault/vault-issuer.ts";
import type { SignedIntermediate } from "../../../src/relay/messages.ts";
import { makeCsr } from "../../kits/csr.ts";
import { TestHost } from "../../kits/test-host.ts";
import { type AuthorityShape, SIGNS_LISTS, TestAuthority } from "../../kits/tls.ts";
import { VaultServer, type VaultShape } from "../../kits/vault-server.ts";

export const DAY_MS = 86_400_000;
const START_MS = 1_700_000_000_000;
export const TD = "mesh.example";

/** An authority whose life begins before virtual time does. */
export const authority = (name: string, above?: TestAuthority, shape: AuthorityShape = {}): Promise<TestAuthority> =>
  TestAuthority.create(
    {
      name,
      notBeforeMs: START_MS - DAY_MS,
      notAfterMs: START_MS + 3650 * DAY_MS,
      usages: SIGNS_LISTS,
      serial: "0a",
      ...shape,
    },
    above,
  );

export const root = await authority("CN=mesh root");
export const middle = await authority("CN=mesh intermediates", root, { pathLength: 1 });

/** As guide 004 has it: a role that anybody would make for it. */
export const ROLE = {
  max_ttl: 0,
  allowed_uri_sans: [`spiffe://${TD}`],
  allowed_uri_sans_template: false,
  organization: [],
  ou: [],
};

const csr = await makeCsr({ uris: [`spiffe://${TD}`], subject: "O=Acme, CN=east authority" });

export const order = (change: Partial<IntermediateOrder> = {}): IntermediateOrder => ({
  cluster: clusterId("east"),
  trustDomain: TD,
  organization: "Acme",
  commonName: "east authority",
  pathLength: 0,
  lifetimeMs: 30 * DAY_MS,
  keyType: "ec-p256",
  csr: csr.pem,
  publicKey: csr.publicKey,
  ...change,
});

export const STATIC: VaultAuth = { kind: "token", secret: { namespace: "gloo-mesh", name: "vault-token" } };
export const signal = new AbortController().signal;

/** A Vault with the mount `pki_int`, and who asks it; all of it ends with it. */
export class VaultSite implements AsyncDisposable {
  readonly host: TestHost;
  readonly server: VaultServer;
  /** As whoever uses one has it: its answers are held to the order. */
  readonly issuer: Issuer & { readonly notes: readonly string[] };
  /** What Secrets hold: key `token`, and key `ca.crt`. */
  readonly secret: { token: string; ca: string };

  readonly #waiting = new Set<{ readonly delayMs: number }>();

  private constructor(host: TestHost, server: VaultServer, spec: Partial<VaultSpec>) {
    this.host = host;
    this.server = server;
    const secret = { token: "s.static", ca: server.ca };
    this.secret = secret;
    server.addToken(secret.token);
    const read = (_: unknown, key: string) => Promise.resolve(key === "token" ? `${secret.token}\n` : secret.ca);
    const parts = { random: host.random, clock: this.#watched() };
    const vault = new VaultIssuer(parts, { ...specOf(server), ...spec }, read);
    this.issuer = new CheckedIssuer(parts, vault, "let caPath end in root/sign-intermediate");
  }

  /** @param aheadMs of Vault's clock, before ours. */
  static async start(spec: Partial<VaultSpec> = {}, shape: VaultShape = {}, aheadMs = 0): Promise<VaultSite> {
    const host = new TestHost();
    const clock = { now: () => host.clock.now() + aheadMs, elapsedMs: () => host.clock.elapsedMs() };
    const engines = { pki_int: { issuer: middle, above: [root], roles: { "gloo-mesh": ROLE } } };
    return new VaultSite(host, await VaultServer.start(clock, { engines, ...shape }), spec);
  }

  /** For how long each thing waits that waits for time, as a renewal does, or an answer. */
  get waits(): readonly number[] {
    return [...this.#waiting].map(({ delayMs }) => delayMs);
  }

  #watched(): Clock {
    const { clock } = this.host;
    const after = (delayMs: number, task: () => void): Disposable => {
      const wait = { delayMs };
      const over = (): void => void this.#waiting.delete(wait);
      this.#waiting.add(wait);
      const timer = clock.after(delayMs, () => (over(), task()));
      return { [Symbol.dispose]: () => (over(), timer[Symbol.dispose]()) };
    };
    return { now: () => clock.now(), elapsedMs: () => clock.elapsedMs(), after };
  }

  async roots(): Promise<readonly string[]> {
    return (await this.issuer.roots(signal)).map(nameOf);
  }

  sign(change: Partial<IntermediateOrder> = {}): Promise<SignedIntermediate> {
    return this.issuer.sign(order(change), signal);
  }

  /** The message with which signing is refused, and its code before it. */
  refusal(change: Partial<IntermediateOrder> = {}): Promise<string> {
    return refusalOf(() => this.sign(change));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.issuer.close();
    await this.server[Symbol.asyncDispose]();
  }
}

export const specOf = ({ url, ca }: VaultServer): VaultSpec => ({
  kind: "vault",
  server: url,
  vaultNamespace: "",
  caPath: "pki_int/root/sign-intermediate",
  rolePath: "",
  caBundle: ca === "" ? undefined : ca,
  caBundleSecret: undefined,
  auth: STATIC,
});

export async function refusalOf(does: () => unknown): Promise<string> {
  try {
    await does();
    return "it was not refused";
  } catch (thrown) {
    if (!(thrown instanceof MeshError)) throw thrown;
    return `${thrown.code}: ${thrown.message}`;
  }
}

export const nameOf = (der: Uint8Array): string => new X509Certificate(der).subject.replace(/\n/g, ", ");
export const lifeMsOf = (der: Uint8Array): number => readCertificate(der).notAfter - START_MS;
