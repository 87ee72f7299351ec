import { type ChildProcess, spawn } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { createServer as tlsServer, request, type Server } from "node:https";
import { createServer, type AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { generateKeyPair, SignJWT } from "jose";
import { TestAuthority } from "../kits/tls.ts";
import { endWithUs, eventually } from "./causeway-process.ts";
import type { AccountTokens, VaultLab } from "./vault-lab.ts";

const START_MS = 60_000;
const STOP_MS = 10_000;

const ANY_NAME = { allow_any_name: true, enforce_hostnames: false, cn_validations: ["disabled"], key_type: "any" };

type Fields = Readonly<Record<string, unknown>>;
interface Answer {
  readonly status: number;
  readonly body: Record<string, Record<string, unknown>>;
}

/** A real `vault` or `bao`, on loopback, with TLS and its state in memory; the API server that it asks whose tokens are is ours. */
export class RealVault implements VaultLab {
  readonly name: string;
  readonly server: string;
  readonly ca: string;
  readonly accounts: AccountTokens;
  readonly #process: ChildProcess;
  readonly #folder: string;
  readonly #reviews: Server;
  #rootToken = "";
  #key = "";

  private constructor(name: string, port: number, authority: TestAuthority, accounts: AccountTokens, started: Started) {
    this.name = name;
    this.server = `https://127.0.0.1:${port}`;
    this.ca = authority.root;
    this.accounts = accounts;
    this.#process = started.process;
    this.#folder = started.folder;
    this.#reviews = started.reviews;
  }

  static async start(binary: string): Promise<VaultLab> {
    const folder = mkdtempSync(join(tmpdir(), "causeway-vault-"));
    const [authority, port, accounts] = [
      await TestAuthority.create("CN=issuer of Vault's own"),
      await freePort(),
      await accountTokens(),
    ];
    const { certificate, key } = await authority.issue();
    const at = (name: string, text: string): string => (
      writeFileSync(join(folder, name), text, { mode: 0o600 }),
      join(folder, name)
    );
    const config = at(
      "vault.hcl",
      [
        `storage "inmem" {}`,
        `disable_mlock = true`,
        `api_addr = "https://127.0.0.1:${port}"`,
        `listener "tcp" {`,
        `  address = "127.0.0.1:${port}"`,
        `  tls_cert_file = "${at("tls.crt", certificate)}"`,
        `  tls_key_file = "${at("tls.key", key)}"`,
        `}`,
      ].join("\n"),
    );
    const reviews = await tokenReviews(await authority.issue(), accounts);
    const child = spawn(binary, ["server", `-config=${config}`], {
      stdio: ["ignore", "pipe", "pipe"],
      env: { HOME: folder },
    });
    endWithUs(child);
    let printed = "";
    for (const stream of [child.stdout, child.stderr])
      stream.on("data", (bytes: Buffer) => (printed += bytes.toString()));
    const lab = new RealVault(binary, port, authority, accounts, { process: child, folder, reviews });
    await eventually(`${binary} answers`, START_MS, async () => {
      if (child.exitCode !== null) throw new Error(`${binary} ended: ${printed.slice(-2000)}`);
      return (await lab.#ask("GET", "sys/seal-status").catch(() => ({ status: 0 }))).status === 200;
    });
    return lab;
  }

  async initialize(): Promise<void> {
    const { body } = await this.#must("PUT", "sys/init", { secret_shares: 1, secret_threshold: 1 });
    this.#rootToken = String(body["root_token"]);
    this.#key = String((body["keys"] as unknown as readonly string[])[0]);
    await this.unseal();
    await this.#mountEngines();
    await this.#enableLogin();
  }

  async seal(): Promise<void> {
    await this.#must("PUT", "sys/seal");
  }

  async unseal(): Promise<void> {
    await this.#must("PUT", "sys/unseal", { key: this.#key });
    await eventually("Vault is active", START_MS, async () => (await this.#ask("GET", "sys/health")).status === 200);
  }

  async allow(lines: readonly string[]): Promise<void> {
    const policy = lines
      .map((line) => line.split(" "))
      .map(([what, path]) => `path "${path}" { capabilities = ["${what}"] }`);
    await this.#must("PUT", "sys/policies/acl/gloo-mesh", {
      policy: ["# What the trust manager may.", ...policy].join("\n"),
    });
  }

  async writeRole(fields: Fields): Promise<void> {
    await this.#must("POST", "pki_int/roles/gloo-mesh", { ...ANY_NAME, ...fields });
  }

  async token(): Promise<string> {
    const { body } = await this.#must("POST", "auth/token/create", { policies: ["gloo-mesh"], ttl: "1h" });
    return String(body["auth"]!["client_token"]);
  }

  async renewed(token: string): Promise<boolean> {
    const { body } = await this.#must("POST", "auth/token/lookup", { token });
    return typeof body["data"]!["last_renewal_time"] === "number";
  }

  async revoke(): Promise<void> {
    await this.#must("PUT", "sys/leases/revoke-prefix/auth/kubernetes/login");
  }

  async signByRole(csr: string): Promise<string> {
    const { body } = await this.#must("POST", "pki_int/sign/gloo-mesh", { csr, common_name: "leaf" });
    return String(body["data"]!["certificate"]);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const gone = new Promise((resolve) => this.#process.once("exit", resolve));
    this.#process.kill("SIGTERM");
    const timer = setTimeout(() => this.#process.kill("SIGKILL"), STOP_MS);
    await gone;
    clearTimeout(timer);
    this.#reviews.closeAllConnections();
    this.#reviews.close();
    rmSync(this.#folder, { recursive: true, force: true });
  }

  async #mountEngines(): Promise<void> {
    for (const mount of ["pki", "pki_int"])
      await this.#must("POST", `sys/mounts/${mount}`, { type: "pki", config: { max_lease_ttl: "87600h" } });
    const key = { key_type: "ec", key_bits: 256 };
    const { body: made } = await this.#must("POST", "pki/root/generate/internal", {
      ...key,
      common_name: "mesh root",
      ttl: "8760h",
    });
    const { body: asked } = await this.#must("POST", "pki_int/intermediate/generate/internal", {
      ...key,
      common_name: "mesh intermediates",
    });
    const { body: signed } = await this.#must("POST", "pki/root/sign-intermediate", {
      csr: asked["data"]!["csr"],
      common_name: "mesh intermediates",
      max_path_length: 1,
      ttl: "8000h",
    });
    const chain = `${String(signed["data"]!["certificate"])}\n${String(made["data"]!["certificate"])}`;
    await this.#must("POST", "pki_int/intermediate/set-signed", { certificate: chain });
    const { body: known } = await this.#must("GET", "pki_int/config/issuers");
    await this.#must("POST", `pki_int/issuer/${String(known["data"]!["default"])}`, { issuer_name: "mesh" });
    await this.writeRole({});
  }

  async #enableLogin(): Promise<void> {
    await this.#must("POST", "sys/auth/kubernetes", { type: "kubernetes" });
    await this.#must("POST", "auth/kubernetes/config", {
      kubernetes_host: `https://127.0.0.1:${(this.#reviews.address() as AddressInfo).port}`,
      kubernetes_ca_cert: this.ca,
      token_reviewer_jwt: this.accounts.ours,
      disable_local_ca_jwt: true,
    });
    await this.#must("POST", "auth/kubernetes/role/gloo-mesh", {
      bound_service_account_names: ["causeway-trust"],
      bound_service_account_namespaces: ["gloo-mesh"],
      token_policies: ["gloo-mesh"],
      token_ttl: "1h",
    });
  }

  async #must(method: string, path: string, body?: Fields): Promise<Answer> {
    const answer = await this.#ask(method, path, body);
    if (answer.status === 200 || answer.status === 204) return answer;
    throw new Error(`${method} ${path}: ${answer.status} ${JSON.stringify(answer.body)}`);
  }

  #ask(method: string, path: string, body?: Fields): Promise<Answer> {
    return new Promise((resolve, reject) => {
      const headers = this.#rootToken === "" ? {} : { "x-vault-token": this.#rootToken };
      const sent = request(`${this.server}/v1/${path}`, { method, ca: this.ca, headers, agent: false }, (answer) => {
        let text = "";
        answer.on("data", (chunk: Buffer) => (text += chunk.toString()));
        answer.on("end", () => {
          resolve({ status: answer.statusCode ?? 0, body: text === "" ? {} : (JSON.parse(text) as Answer["body"]) });
        });
      });
      sent.on("error", reject);
      sent.end(body === undefined ? undefined : JSON.stringify(body));
    });
  }
}

interface Started {
  readonly process: ChildProcess;
  readonly folder: string;
  readonly reviews: Server;
}

/** Answers TokenReviews: both tokens are good, and of two accounts. */
async function tokenReviews(
  { certificate, key }: { certificate: string; key: string },
  accounts: AccountTokens,
): Promise<Server> {
  const server = tlsServer({ cert: certificate, key }, (asked, response) => {
    let text = "";
    asked.on("data", (chunk: Buffer) => (text += chunk.toString()));
    asked.on("end", () => {
      const { spec } = JSON.parse(text) as { spec: { token: string } };
      const name = spec.token === accounts.ours ? "causeway-trust" : "somebody";
      const user = { username: `system:serviceaccount:gloo-mesh:${name}`, uid: `uid-${name}`, groups: [] };
      const status = { authenticated: true, user };
      response.writeHead(201, { "content-type": "application/json" });
      response.end(JSON.stringify({ apiVersion: "authentication.k8s.io/v1", kind: "TokenReview", spec, status }));
    });
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  return server;
}

async function accountTokens(): Promise<AccountTokens> {
  const { privateKey } = await generateKeyPair("ES256");
  const token = (name: string): Promise<string> =>
    new SignJWT({ "kubernetes.io": { namespace: "gloo-mesh", serviceaccount: { name, uid: `uid-${name}` } } })
      .setProtectedHeader({ alg: "ES256" })
      .setIssuer("https://kubernetes.default.svc.cluster.local")
      .setSubject(`system:serviceaccount:gloo-mesh:${name}`)
      .setIssuedAt()
      .setNotBefore("0s")
      .setExpirationTime("1h")
      .sign(privateKey);
  return { ours: await token("causeway-trust"), other: await token("somebody") };
}

function freePort(): Promise<number> {
  return new Promise((resolve) => {
    const probe = createServer();
    probe.listen(0, "127.0.0.1", () => {
      const { port } = probe.address() as AddressInfo;
      probe.close(() => resolve(port));
    });
  });
}
