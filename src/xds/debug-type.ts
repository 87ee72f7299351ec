import { MeshError } from "../errors.ts";
import type { Caller } from "../caller.ts";
import type { ClientStatus } from "./client-status.ts";
import { printable } from "../printable.ts";
import { DEBUG_TYPE } from "./resource.ts";
import { encodeClientConfig } from "./types/client-config.ts";
import type { DebugAnswer, DebugResource } from "./wire.ts";

/** What `istioctl proxy-status` asks: every client, as the client status service of Envoy would say it. */
const SYNC_STATUS_TYPE = `${DEBUG_TYPE}/syncz`;

/** Names of pages that one request may ask for. */
const PAGES_MAX = 16;

export interface DebugAnswers {
  /** What the admin port answers to `/debug/<page>`. @throws MeshError `absent` if there is no such page. */
  page(page: string): Promise<Uint8Array>;
  clients(): readonly ClientStatus[];
  /** Only identities of this namespace may ask; the pages show the whole mesh. */
  readonly systemNamespace: string;
}

export function isDebugType(typeUrl: string): boolean {
  return typeUrl === DEBUG_TYPE || typeUrl.startsWith(`${DEBUG_TYPE}/`);
}

export interface DebugRequest {
  readonly typeUrl: string;
  readonly names: readonly string[];
  readonly nonce: string;
}

/** Answers the debug requests of one stream, one at a time (contract ztunnel.md 2.10). */
export class DebugResponder {
  readonly #answers: DebugAnswers;
  readonly #caller: Caller | undefined;
  #count = 0;
  #busy = false;

  constructor(answers: DebugAnswers, caller: Caller | undefined) {
    this.#answers = answers;
    this.#caller = caller;
  }

  /**
   * @returns undefined for an ACK. A nonce that is not ours is none: istioctl sends one with its first request.
   * @throws MeshError `denied` for a caller who may not see it, `absent` for a page that is not there, `exhausted` for
   * a request before the one before it was answered.
   */
  async answer(request: DebugRequest): Promise<DebugAnswer | undefined> {
    if (request.nonce === this.#nonce()) return undefined;
    checkMayDebug(this.#caller, this.#answers.systemNamespace);
    if (this.#busy) throw new MeshError("exhausted", "wait for the answer to one debug request before sending another");
    this.#busy = true;
    try {
      const resources = await this.#resources(request);
      this.#count += 1;
      return { typeUrl: request.typeUrl, nonce: this.#nonce(), resources };
    } finally {
      this.#busy = false;
    }
  }

  #nonce(): string {
    return `debug-${this.#count}`;
  }

  async #resources({ typeUrl, names }: DebugRequest): Promise<readonly DebugResource[]> {
    if (typeUrl === SYNC_STATUS_TYPE) return clientConfigs(this.#answers.clients());
    if (typeUrl !== DEBUG_TYPE) {
      const shown = printable(typeUrl, 128);
      throw new MeshError(
        "absent",
        `there is no type ${shown}; ask for ${SYNC_STATUS_TYPE}, or ${DEBUG_TYPE} and a page`,
      );
    }
    if (names.length === 0 || names.length > PAGES_MAX)
      throw new MeshError(
        "invalid",
        `name 1 to ${PAGES_MAX} debug pages as resources, as syncz; "list" names them all`,
      );
    return Promise.all(
      names.map(async (name) => ({ name, typeUrl: DEBUG_TYPE, body: await this.#answers.page(name) })),
    );
  }
}

function checkMayDebug(caller: Caller | undefined, systemNamespace: string): void {
  if (caller === undefined)
    throw new MeshError("denied", "debug types need an authenticated client: connect to the TLS port");
  if (caller.identity.namespace !== systemNamespace)
    throw new MeshError(
      "denied",
      `debug types show the whole mesh: use a service account of namespace ${systemNamespace}, not of ${caller.identity.namespace}`,
    );
}

/** Whoever looks is no client of the mesh. */
function clientConfigs(clients: readonly ClientStatus[]): readonly DebugResource[] {
  return clients.filter(({ subscriptions }) => subscriptions.length > 0).map(encodeClientConfig);
}
