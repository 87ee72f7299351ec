import type { RequestOptions } from "node:https";
import { MeshError, messageOf } from "../errors.ts";
import type { Clock } from "../host.ts";
import { printable } from "../printable.ts";
import type { Login } from "./connection.ts";
import type { Credentials, Proof } from "./proof.ts";

/** What a plugin said counts for so long, unless the server refuses it. */
const PROOF_AGE_MS_MAX = 60_000;
/** However often it fails, or the server refuses what it said, a plugin is not asked more often than that. */
const ASKED_MS_MIN = 10_000;
/** A plugin may have to ask a cloud. */
const ANSWER_MS_MAX = 60_000;

type Plugin = Extract<Login, { readonly kind: "exec" | "oidc" }>;

/** Runs programs and renews tokens by @kubernetes/client-node, which is loaded only here: it takes some 80 MB. */
export class PluginLogin implements Credentials {
  readonly #clock: Clock;
  readonly #login: Plugin;
  #proof: Proof | undefined;
  #askedAtMs = -Infinity;
  #asking: Promise<Proof> | undefined;
  #client: Promise<PluginClient> | undefined;
  #failed: MeshError | undefined;

  constructor(clock: Clock, login: Plugin) {
    this.#clock = clock;
    this.#login = login;
  }

  async current(): Promise<Proof> {
    const ageMs = this.#clock.elapsedMs() - this.#askedAtMs;
    if (this.#proof !== undefined && ageMs < PROOF_AGE_MS_MAX) return this.#proof;
    if (this.#proof === undefined && this.#failed !== undefined && ageMs < ASKED_MS_MIN) throw this.#failed;
    // As long as there is an old one, the server is to say whether it is good.
    return this.#ask().catch((thrown: unknown) => this.#proof ?? Promise.reject(thrown as Error));
  }

  async refresh(): Promise<boolean> {
    if (this.#clock.elapsedMs() - this.#askedAtMs < ASKED_MS_MIN) return false;
    // A new client runs the program anew. One for oidc asks anew by itself, and knows by what to ask.
    if (this.#login.kind === "exec") this.#client = undefined;
    const refused = JSON.stringify(this.#proof);
    return JSON.stringify(await this.#ask()) !== refused;
  }

  #ask(): Promise<Proof> {
    return (this.#asking ??= this.#askNow().finally(() => (this.#asking = undefined)));
  }

  async #askNow(): Promise<Proof> {
    this.#askedAtMs = this.#clock.elapsedMs();
    const options: RequestOptions = { headers: {} };
    try {
      this.#client ??= pluginClient(this.#login);
      await this.#inTime((await this.#client).applyToHTTPSOptions(options));
    } catch (thrown) {
      throw (this.#failed = this.#failure(messageOf(thrown)));
    }
    const proof = proofIn(options);
    if (proof === undefined) throw (this.#failed = this.#failure(NOTHING[this.#login.kind]));
    return (this.#proof = proof);
  }

  #inTime(answer: Promise<void>): Promise<void> {
    return new Promise((resolve, reject) => {
      const deadline = this.#clock.after(ANSWER_MS_MAX, () => reject(new Error("no answer in a minute")));
      answer.then(resolve, reject).finally(() => deadline[Symbol.dispose]());
    });
  }

  #failure(why: string): MeshError {
    const what = this.#login.kind === "exec" ? `exec ${this.#login.exec.command}` : "auth-provider oidc";
    return new MeshError(
      "unauthenticated",
      `the user's ${printable(what, 200)} gave no credentials: ${printable(why.trim(), 400)}`,
    );
  }
}

const NOTHING = {
  exec: "its answer has neither status.token nor a certificate with its key",
  oidc: "the id-token has expired, and client-id, idp-issuer-url or refresh-token to renew it is missing",
} as const;

interface PluginClient {
  applyToHTTPSOptions(options: RequestOptions): Promise<void>;
}

async function pluginClient(login: Plugin): Promise<PluginClient> {
  const { KubeConfig } = await import("@kubernetes/client-node");
  const client = new KubeConfig();
  const named = { cluster: "cluster", user: "user", name: "context" };
  client.loadFromOptions({
    clusters: [{ name: named.cluster, server: "https://unused.invalid", skipTLSVerify: false }],
    users: [{ name: named.user, ...userOf(login) }],
    contexts: [named],
    currentContext: named.name,
  });
  return client;
}

/** The plugin hears which version to answer in, as kubectl tells it. */
function userOf(login: Plugin): object {
  if (login.kind === "oidc") return { authProvider: { name: "oidc", config: { ...login.config } } };
  const { apiVersion, command, args, env, cluster } = login.exec;
  const spec = { interactive: false, ...(cluster && { cluster }) };
  const info = JSON.stringify({ apiVersion, kind: "ExecCredential", spec });
  return { exec: { apiVersion, command, args, env: [...env, { name: "KUBERNETES_EXEC_INFO", value: info }] } };
}

function proofIn({ headers, cert, key }: RequestOptions): Proof | undefined {
  const { Authorization: authorization } = { ...headers } as Record<string, unknown>;
  const shown = typeof authorization === "string" ? { authorization } : {};
  const pair = typeof cert === "string" && typeof key === "string" ? { certificate: { certificate: cert, key } } : {};
  return Object.keys({ ...shown, ...pair }).length === 0 ? undefined : { headers: shown, ...pair };
}
