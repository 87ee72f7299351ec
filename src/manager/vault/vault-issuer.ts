import type { Host } from "../../host.ts";
import { MeshError } from "../../errors.ts";
import type { SignedIntermediate } from "../../relay/messages.ts";
import type { IntermediateOrder, Issuer } from "../issuer.ts";
import type { VaultAuth, VaultSpec } from "../policy.ts";
import { type ReadSecretKey, vaultAuthorities } from "./vault-authorities.ts";
import { type VaultAsk, VaultClient, type VaultReply } from "./vault-client.ts";
import { type Engine, engineChain } from "./vault-engine.ts";
import { authTitle, tokenWay } from "./vault-login.ts";
import { type RoleLimits, roleLimits } from "./vault-role.ts";
import { lifeOf, signBody, signedBy, warningsOf } from "./vault-signing.ts";
import { type VaultTarget, vaultTarget } from "./vault-target.ts";
import { VaultToken } from "./vault-token.ts";

const NO_LIMITS: RoleLimits = { lifetimeMs: Infinity, notes: [] };

/** Intermediates of a PKI engine of Vault or OpenBao, by their HTTP API (contract identity.md 4.3): the root's key stays there. */
export class VaultIssuer implements Issuer {
  readonly title: string;
  readonly #clock: Host["clock"];
  readonly #target: VaultTarget;
  readonly #auth: VaultAuth;
  readonly #client: VaultClient;
  readonly #token: VaultToken;
  #ofChain: readonly string[] = [];
  #ofSigning: readonly string[] = [];

  /** @param read called when something of a Secret is needed. @throws MeshError `invalid` for a spec by which no Vault can be asked. */
  constructor(host: Pick<Host, "clock" | "random">, spec: VaultSpec, read: ReadSecretKey) {
    this.#clock = host.clock;
    this.#target = vaultTarget(spec);
    this.#auth = spec.auth;
    this.#client = new VaultClient(host.clock, this.#target, vaultAuthorities(spec, read));
    this.#token = new VaultToken(host, tokenWay(this.#client, spec.auth, read));
    this.title = `${this.#client.name}, ${this.#target.path.mount}`;
  }

  /** What the policy's status is to say of all this, though it works. */
  get notes(): readonly string[] {
    const { problem } = this.#token;
    return [...this.#target.path.notes, ...this.#ofChain, ...this.#ofSigning, ...(problem === "" ? [] : [problem])];
  }

  async roots(signal: AbortSignal): Promise<readonly Uint8Array[]> {
    return [(await this.#engine(signal)).root.x509.raw];
  }

  async sign(order: IntermediateOrder, signal: AbortSignal): Promise<SignedIntermediate> {
    const engine = await this.#engine(signal);
    const limits = await this.#role(order, signal);
    const life = lifeOf(this.title, order, engine, limits.lifetimeMs, this.#clock.now());
    const reply = await this.#askWithToken(this.#signing(order, life.seconds), signal);
    this.#ofSigning = [...limits.notes, ...life.notes, ...warningsOf(this.#client.name, reply)];
    return signedBy(`${this.#client.name} at ${this.#target.path.sign}`, reply, engine);
  }

  close(): Promise<void> {
    this.#token.close();
    return Promise.resolve();
  }

  async #engine(signal: AbortSignal): Promise<Engine> {
    const engine = await engineChain(this.#client, this.#target, signal);
    this.#ofChain = engine.notes;
    return engine;
  }

  async #role(order: IntermediateOrder, signal: AbortSignal): Promise<RoleLimits> {
    const { rolePath } = this.#target;
    if (rolePath === "") return NO_LIMITS;
    const asked: Omit<VaultAsk, "token"> = {
      method: "GET",
      path: rolePath,
      body: undefined,
      refusals: [],
      onDenied: `${this.#lacking(rolePath, "read")}, or leave rolePath out of the policy`,
      onAbsent: `there is no such role; make it, correct rolePath, or leave it out of the policy${this.#place}`,
    };
    return roleLimits(rolePath, (await this.#askWithToken(asked, signal)).data, order);
  }

  #signing(order: IntermediateOrder, seconds: number): Omit<VaultAsk, "token"> {
    const { sign, mount, issuer } = this.#target.path;
    return {
      method: "POST",
      path: sign,
      body: signBody(order, seconds),
      refusals: [
        {
          says: /path length/i,
          fix: `the authority of ${mount} may have none below it; make it anew with a larger max_path_length`,
        },
        {
          says: /issuer|CA certificate/i,
          fix: `it has no authority ${issuer ?? "yet"} that may sign; \`vault list ${mount}/issuers\` names those there are`,
        },
        {
          says: /csr|certificate request/i,
          fix: "it cannot read the request of the cluster; its key may be of a kind that Vault does not take",
        },
      ],
      onDenied: this.#lacking(sign, "update"),
      onAbsent: `nothing there signs intermediates: mount a PKI engine at ${mount}, or correct caPath${this.#place}`,
    };
  }

  /** One that has ended, or was revoked, is had anew, once. */
  async #askWithToken(asked: Omit<VaultAsk, "token">, signal: AbortSignal): Promise<VaultReply> {
    const token = await this.#token.get(signal);
    try {
      return await this.#client.ask({ ...asked, token }, signal);
    } catch (thrown) {
      const refused = thrown instanceof MeshError && thrown.detail["status"] === 403;
      if (!refused || !this.#token.refused(token)) throw thrown;
      return this.#client.ask({ ...asked, token: await this.#token.get(signal) }, signal);
    }
  }

  #lacking(path: string, capability: string): string {
    const ended = this.#auth.kind === "token" ? "it may have ended; or " : "";
    return (
      `${authTitle(this.#auth)} may not do that: ${ended}its policy in Vault lacks ` +
      `\`path "${path}" { capabilities = ["${capability}"] }\`${this.#place}`
    );
  }

  /** In another namespace, what is asked for is not there, or not allowed. */
  get #place(): string {
    const { namespace } = this.#target;
    return namespace === ""
      ? "; if all this is in a namespace of Vault, set vault.namespace in the RootTrustPolicy"
      : `; in namespace ${namespace}`;
  }
}
