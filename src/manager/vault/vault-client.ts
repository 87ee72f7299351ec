import type { Clock } from "../../host.ts";
import { MeshError } from "../../errors.ts";
import { type Fields, isFields } from "../../kube/fields.ts";
import type { Authorities } from "./vault-authorities.ts";
import { type Asked, closedVault, failureOf, type SealStatus, unreached } from "./vault-failures.ts";
import { exchange, type HttpAnswer } from "./vault-http.ts";
import { mayBeAsked, type VaultTarget } from "./vault-target.ts";

export interface VaultAsk extends Asked {
  /** Empty for what anybody may ask. */
  readonly token: string;
  readonly body: Fields | undefined;
}

/** What the documentation calls a response; fields that were not there are empty. */
export interface VaultReply {
  readonly data: Fields;
  readonly auth: Fields;
  readonly warnings: readonly string[];
}

/** Asks one Vault, or the leader that it names. */
export class VaultClient {
  /** As `Vault https://vault.internal:8200`. */
  readonly name: string;
  readonly #clock: Clock;
  readonly #target: VaultTarget;

  /** @param authorities asked anew for each connection. */
  constructor(
    clock: Clock,
    target: VaultTarget,
    readonly authorities: Authorities,
  ) {
    this.#clock = clock;
    this.#target = target;
    this.name = `Vault ${target.server.origin}`;
  }

  /** @throws MeshError with `status` in its detail if Vault answered. */
  async ask(asked: VaultAsk, signal: AbortSignal): Promise<VaultReply> {
    const answer = await this.#leader(asked, signal);
    const reply = jsonOf(answer.text);
    if (answer.status === 200 || answer.status === 204) {
      if (reply !== undefined || answer.text === "") return replyOf(reply ?? {});
      throw new MeshError(
        "invalid",
        `${this.name} answers ${asked.method} ${asked.path} with what is no JSON; check that server is Vault itself, not a proxy or a login page`,
      );
    }
    const errors = stringsOf(reply?.["errors"]);
    if (answer.status === 503) throw closedVault(this.name, await this.#sealStatus(signal), errors);
    throw failureOf(this.name, asked, answer.status, errors);
  }

  /** A standby sends to its leader: once, as that one sends nobody anywhere. */
  async #leader(asked: VaultAsk, signal: AbortSignal): Promise<HttpAnswer> {
    const url = new URL(`/v1/${asked.path}`, this.#target.server);
    const answer = await this.#exchange(asked, url, signal);
    if (!isRedirect(answer)) return answer;
    const leader = leaderOf(url, answer.location);
    if (leader === undefined)
      throw this.#astray(`a standby, which names no leader that may be asked: "${answer.location}"`);
    const second = await this.#exchange(asked, leader, signal);
    if (isRedirect(second)) throw this.#astray(`a standby of ${leader.origin}, which is one, too`);
    return second;
  }

  #astray(what: string): MeshError {
    return new MeshError(
      "unavailable",
      `${this.name} is ${what.slice(0, 300)}; give Vault's nodes an https api_addr that is theirs, or name the active one as server`,
    );
  }

  async #exchange({ method, path, token, body }: VaultAsk, url: URL, signal: AbortSignal): Promise<HttpAnswer> {
    const headers = {
      accept: "application/json",
      "x-vault-request": "true",
      ...(token !== "" && { "x-vault-token": token }),
      ...(this.#target.namespace !== "" && { "x-vault-namespace": this.#target.namespace }),
    };
    try {
      const text = body === undefined ? "" : JSON.stringify(body);
      const ca = await this.#ca(signal);
      return await exchange(this.#clock, { method, url, headers, body: text, ca }, signal);
    } catch (thrown) {
      throw unreached(
        url.origin === this.#target.server.origin ? this.name : `Vault ${url.origin}`,
        { method, path },
        thrown,
      );
    }
  }

  async #ca(signal: AbortSignal): Promise<string | undefined> {
    return (await this.authorities(signal))?.map(({ x509 }) => x509.toString()).join("");
  }

  /** Undefined if it does not say. */
  async #sealStatus(signal: AbortSignal): Promise<SealStatus | undefined> {
    try {
      const url = new URL("/v1/sys/seal-status", this.#target.server);
      const ca = await this.#ca(signal);
      const { text } = await exchange(this.#clock, { method: "GET", url, headers: {}, body: "", ca }, signal);
      const { initialized, sealed, progress, t } = jsonOf(text) ?? {};
      if (typeof initialized !== "boolean" || typeof sealed !== "boolean") return undefined;
      return { initialized, sealed, progress: Number(progress), threshold: Number(t) };
    } catch {
      return undefined;
    }
  }
}

const isRedirect = ({ status }: HttpAnswer): boolean => status >= 300 && status < 400;

/** The same path at another node: a leader is a place, and nothing else of a redirect counts. */
function leaderOf(asked: URL, location: string): URL | undefined {
  if (location === "" || !URL.canParse(location, asked.href)) return undefined;
  const named = new URL(location, asked);
  const plainAgain = asked.protocol === "https:" && named.protocol !== "https:";
  return mayBeAsked(named) && !plainAgain ? new URL(asked.pathname, named.origin) : undefined;
}

function jsonOf(text: string): Fields | undefined {
  try {
    const value: unknown = JSON.parse(text);
    return isFields(value) ? value : undefined;
  } catch {
    return undefined;
  }
}

function replyOf({ data, auth, warnings }: Fields): VaultReply {
  return { data: isFields(data) ? data : {}, auth: isFields(auth) ? auth : {}, warnings: stringsOf(warnings) };
}

/** Of a list; whatever else is in it is passed over. */
export const stringsOf = (value: unknown): readonly string[] =>
  Array.isArray(value) ? value.filter((each) => typeof each === "string") : [];
