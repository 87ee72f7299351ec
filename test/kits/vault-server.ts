// A stand-in for Vault and OpenBao that signs for real. Its messages are those of the documentation at
// developer.hashicorp.com/vault: api-docs (errors, status codes), api-docs/auth/kubernetes (login), api-docs/auth/token (lookup-self,
// renew-self), api-docs/secret/pki (sign intermediate, sign certificate, read CA certificate chain, read issuer certificate, read role),
// api-docs/system/seal-status, and docs/concepts/ha (a standby's redirect); openbao.org/api-docs has the same pages. The words of errors
// and warnings, and which status they come with, are as an OpenBao 2.6.2 was seen to answer.
import {
  createServer as plainServer,
  type IncomingMessage,
  type RequestListener,
  type ServerResponse,
} from "node:http";
import { createServer } from "node:https";
import type { AddressInfo } from "node:net";
import { TestAuthority } from "./tls.ts";
import { type EngineAnswer, VaultEngine, type VaultEngineShape } from "./vault-engine.ts";

export interface AskedOfVault {
  readonly method: string;
  /** As `/v1/pki/root/sign-intermediate`. */
  readonly path: string;
  readonly token: string | undefined;
  readonly namespace: string | undefined;
  readonly body: Readonly<Record<string, unknown>>;
}

export interface VaultShape {
  readonly engines?: Readonly<Record<string, VaultEngineShape>>;
  /** Of auth/kubernetes: whose token gets which role's. */
  readonly kubernetes?: { readonly role: string; readonly jwts: Set<string>; leaseSeconds: number; renewable: boolean };
  /** What policies allow each token, as `update pki/root/sign-intermediate`; whoever logs in gets those of `role`. */
  readonly allowed?: Set<string>;
  /** All of it is in there. */
  readonly namespace?: string;
}

interface Token {
  readonly ttlSeconds: number;
  readonly renewable: boolean;
  endMs: number;
}

type Clocks = { now(): number; elapsedMs(): number };
type Body = Readonly<Record<string, unknown>>;

const DENIED: EngineAnswer = { status: 403, errors: ["permission denied"] };

export class VaultServer implements AsyncDisposable {
  readonly asked: AskedOfVault[] = [];
  readonly tokens = new Map<string, Token>();
  readonly engines: Map<string, VaultEngine>;
  sealed = false;
  initialized = true;
  /** Key shares given, of three that are needed. */
  progress = 0;
  /** Where a standby sends to; undefined for an active one. */
  leader: string | undefined;
  /** Answers in place of Vault: true if it did. */
  instead: ((asked: AskedOfVault, response: ServerResponse) => boolean) | undefined;
  readonly #shape: VaultShape;
  readonly #clock: Clocks;
  readonly #server: ReturnType<typeof plainServer>;
  readonly #scheme: string;
  /** PEM of who issued its certificate. */
  readonly ca: string;
  #logins = 0;

  private constructor(
    shape: VaultShape,
    clock: Clocks,
    ca: string,
    make: (serve: RequestListener) => ReturnType<typeof plainServer>,
  ) {
    this.#shape = shape;
    this.#clock = clock;
    this.ca = ca;
    this.#scheme = ca === "" ? "http" : "https";
    this.engines = new Map(
      Object.entries(shape.engines ?? {}).map(([mount, engine]) => [mount, new VaultEngine(engine, () => clock.now())]),
    );
    this.#server = make((request, response) => void this.#serve(request, response));
  }

  static async start(clock: Clocks, shape: VaultShape): Promise<VaultServer> {
    const authority = await TestAuthority.create("CN=issuer of Vault's own");
    const { certificate: cert, key } = await authority.issue();
    return VaultServer.#listen(
      new VaultServer(shape, clock, authority.root, (serve) => createServer({ cert, key }, serve)),
    );
  }

  /** Without TLS, as `-dev` is. */
  static async startPlain(clock: Clocks, shape: VaultShape): Promise<VaultServer> {
    return VaultServer.#listen(new VaultServer(shape, clock, "", (serve) => plainServer(serve)));
  }

  static async #listen(made: VaultServer): Promise<VaultServer> {
    await new Promise<void>((resolve) => made.#server.listen(0, "127.0.0.1", resolve));
    return made;
  }

  get url(): string {
    return `${this.#scheme}://127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  /** As an operator makes one. */
  addToken(token: string, ttlSeconds = 0, renewable = false): void {
    this.tokens.set(token, {
      ttlSeconds,
      renewable,
      endMs: ttlSeconds === 0 ? Infinity : this.#clock.elapsedMs() + ttlSeconds * 1000,
    });
  }

  /** How often a path was asked. */
  count(path: string): number {
    return this.asked.filter((asked) => asked.path === path).length;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#server.closeAllConnections();
    await new Promise((resolve) => this.#server.close(resolve));
  }

  async #serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
    let text = "";
    for await (const chunk of request) text += String(chunk);
    const asked: AskedOfVault = {
      method: request.method!,
      path: request.url!,
      token: request.headers["x-vault-token"] as string | undefined,
      namespace: request.headers["x-vault-namespace"] as string | undefined,
      body: text === "" ? {} : (JSON.parse(text) as Body),
    };
    this.asked.push(asked);
    if (this.instead?.(asked, response) === true) return;
    if (asked.path === "/v1/sys/seal-status") return reply(response, 200, this.#sealStatus());
    if (this.sealed || !this.initialized) return reply(response, 503, { errors: ["Vault is sealed"] });
    if (this.leader !== undefined)
      return void response.writeHead(307, { location: `${this.leader}${asked.path}` }).end();
    const { status, data, warnings, errors, auth } = await this.#answer(asked);
    if (errors !== undefined) return reply(response, status, { errors });
    const base = { request_id: "7a0d6b5c", lease_id: "", renewable: false, lease_duration: 0, wrap_info: null };
    reply(response, status, { ...base, data: data ?? null, warnings: warnings ?? null, auth: auth ?? null });
  }

  #sealStatus(): Body {
    const { initialized, progress } = this;
    return {
      type: "shamir",
      initialized,
      sealed: this.sealed || !initialized,
      t: 3,
      n: 5,
      progress,
      nonce: "",
      version: "2.6.2",
    };
  }

  async #answer(asked: AskedOfVault): Promise<EngineAnswer & { readonly auth?: Body }> {
    const path = asked.path.replace("/v1/", "");
    if ((asked.namespace ?? "") !== (this.#shape.namespace ?? ""))
      return asked.token === undefined ? DENIED : this.#noRoute(path);
    if (path === "auth/kubernetes/login") return this.#login(asked.body);
    const [mount, engine] = [...this.engines].find(([mount]) => path.startsWith(`${mount}/`)) ?? [];
    const rest = mount === undefined ? "" : path.slice(mount.length + 1);
    const open = engine && openAnswer(engine, rest);
    if (open !== undefined) return open;
    const token = this.#tokenOf(asked.token);
    if (token === undefined) return DENIED;
    if (path === "auth/token/lookup-self")
      return { status: 200, data: { ttl: this.#secondsLeft(token), renewable: token.renewable } };
    if (path === "auth/token/renew-self") return this.#renew(asked.token!, token);
    const capability = asked.method === "GET" ? "read" : "update";
    if (this.#shape.allowed?.has(`${capability} ${path}`) === false) return DENIED;
    return engine === undefined ? this.#noRoute(path) : guardedAnswer(engine, path, rest, asked.body);
  }

  #noRoute(path: string): EngineAnswer {
    return { status: 404, errors: [`no handler for route "${path}". route entry not found.`] };
  }

  #tokenOf(name: string | undefined): Token | undefined {
    const token = this.tokens.get(name ?? "");
    return token !== undefined && token.endMs > this.#clock.elapsedMs() ? token : undefined;
  }

  #secondsLeft({ endMs }: Token): number {
    return endMs === Infinity ? 0 : Math.ceil((endMs - this.#clock.elapsedMs()) / 1000);
  }

  #login({ role, jwt }: Body): EngineAnswer & { readonly auth?: Body } {
    const { kubernetes } = this.#shape;
    if (kubernetes === undefined) return DENIED;
    if (role !== kubernetes.role) return { status: 400, errors: [`invalid role name "${String(role)}"`] };
    if (!kubernetes.jwts.has(String(jwt))) return DENIED;
    const token = `s.login-${(this.#logins += 1)}`;
    this.addToken(token, kubernetes.leaseSeconds, kubernetes.renewable);
    return { status: 200, auth: this.#auth(token) };
  }

  #renew(name: string, token: Token): EngineAnswer & { readonly auth?: Body } {
    if (!token.renewable) return { status: 400, errors: ["lease is not renewable"] };
    token.endMs = this.#clock.elapsedMs() + token.ttlSeconds * 1000;
    return { status: 200, auth: this.#auth(name) };
  }

  #auth(name: string): Body {
    const token = this.tokens.get(name)!;
    return {
      client_token: name,
      accessor: "0e9e354a-520f-df04-6867-ee81cae3d42d",
      policies: ["default", "gloo-mesh"],
      token_policies: ["default", "gloo-mesh"],
      metadata: {},
      lease_duration: this.#secondsLeft(token),
      renewable: token.renewable,
      token_type: "service",
      orphan: true,
    };
  }
}

/** What an engine tells everybody. */
function openAnswer(engine: VaultEngine, rest: string): EngineAnswer | undefined {
  const { issuer } = engine.shape;
  const chain = engine.chain.join("\n");
  if (rest === "cert/ca_chain")
    return { status: 200, data: { certificate: chain, ca_chain: chain, revocation_time: 0 } };
  if (rest === "cert/ca") return { status: 200, data: { certificate: issuer.root.trim(), revocation_time: 0 } };
  const reference = /^issuer\/([^/]+)\/json$/.exec(rest)?.[1];
  if (reference === undefined) return undefined;
  if (reference !== "default" && reference !== "mesh")
    return { status: 500, errors: [`unable to find PKI issuer for reference: ${reference}`] };
  return {
    status: 200,
    data: { certificate: issuer.root, ca_chain: engine.chain, issuer_id: "3dc79a5a", issuer_name: reference },
  };
}

async function guardedAnswer(engine: VaultEngine, path: string, rest: string, body: Body): Promise<EngineAnswer> {
  if (rest === "root/sign-intermediate" || rest === "issuer/mesh/sign-intermediate")
    return engine.signIntermediate(body);
  if (/^issuer\/[^/]+\/sign-intermediate$/.test(rest))
    return {
      status: 500,
      errors: [
        `could not fetch the CA certificate (was one set?): unable to find PKI issuer for reference: ${rest.split("/")[1]}`,
      ],
    };
  if (rest.startsWith("sign/")) return engine.signLeaf(body);
  const role = engine.shape.roles?.[/^roles\/([^/]+)$/.exec(rest)?.[1] ?? ""];
  return role === undefined ? { status: 404, errors: [] } : { status: 200, data: { ...role, path } };
}

function reply(response: ServerResponse, status: number, body: Body): void {
  response.writeHead(status, { "content-type": "application/json" }).end(JSON.stringify(body));
}
