import type { Clock } from "../../host.ts";
import type { DeltaSession } from "../delta-session.ts";
import {
  CLUSTER_TYPE,
  type DeltaRequest,
  type DeltaResponse,
  ENDPOINT_TYPE,
  LISTENER_TYPE,
  ROUTE_TYPE,
  SECRET_TYPE,
  type TypeUrl,
} from "../resource.ts";
import { Awaited } from "./awaited.ts";
import type { GatewayLogs } from "./proxy-logs.ts";

/** What is named comes before what names it. */
const ARRIVALS: readonly TypeUrl[] = [CLUSTER_TYPE, ENDPOINT_TYPE, SECRET_TYPE, LISTENER_TYPE, ROUTE_TYPE];
/** What names goes before what is named; Envoy then withdraws what it has asked for by name, unasked. */
const DEPARTURES: readonly TypeUrl[] = [LISTENER_TYPE, ROUTE_TYPE, CLUSTER_TYPE, ENDPOINT_TYPE, SECRET_TYPE];

/**
 * The order in which one Envoy gets its types, so that nothing it does leads to a cluster that is not there, or has no
 * endpoints yet: what is new waits until all that it may name was sent and answered, and what is gone goes last. An
 * Envoy that rejects has answered, and keeps what it had.
 */
export class ProxyOrder {
  readonly #logs: GatewayLogs;
  readonly #sessions: ReadonlyMap<TypeUrl, DeltaSession>;
  readonly #awaited: Awaited;

  /** @param onWake called when `next` may give something although nothing was received and nothing changed. */
  constructor(logs: GatewayLogs, sessions: ReadonlyMap<TypeUrl, DeltaSession>, clock: Clock, onWake: () => void) {
    this.#logs = logs;
    this.#sessions = sessions;
    this.#awaited = new Awaited(clock, onWake);
  }

  /** Says that a session of `typeUrl` is about to send `name`. */
  sending(typeUrl: TypeUrl, name: string): void {
    this.#awaited.done(typeUrl, name);
    const need = needOf(typeUrl, name);
    if (need !== undefined && this.#logs.get(need.typeUrl)?.versionOf(need.name) !== undefined)
      this.#awaited.add(typeUrl, need.typeUrl, need.name);
  }

  received({ typeUrl, rejection }: DeltaRequest): void {
    if (rejection !== undefined) this.#awaited.rejected(typeUrl);
  }

  /** The next response to send, or undefined if there is nothing now. */
  next(): DeltaResponse | undefined {
    for (const typeUrl of ARRIVALS) {
      if (typeUrl === LISTENER_TYPE && this.#endpointsAwaited()) return undefined;
      if (typeUrl === ENDPOINT_TYPE) this.#repeatEndpoints();
      const response = this.#sessions.get(typeUrl)?.poll(false);
      if (response !== undefined) return response;
      if (this.#unanswered(typeUrl)) return undefined;
    }
    if (this.#routesAwaited()) return undefined;
    for (const typeUrl of DEPARTURES) {
      const response = this.#sessions.get(typeUrl)?.poll();
      if (response !== undefined) return response;
    }
    return undefined;
  }

  close(): void {
    this.#awaited.close();
  }

  #unanswered(typeUrl: TypeUrl): boolean {
    return this.#sessions.get(typeUrl)?.unansweredSinceMs !== undefined;
  }

  /**
   * A cluster that has changed is not used before its endpoints come once more, and Envoy does not ask again for what
   * it follows already (xDS protocol, "Resource warming").
   */
  #repeatEndpoints(): void {
    const session = this.#sessions.get(ENDPOINT_TYPE);
    this.#awaited.any(ENDPOINT_TYPE, (name) => {
      session?.repeat(name);
      return this.#exists(ENDPOINT_TYPE, name);
    });
  }

  #endpointsAwaited(): boolean {
    return this.#awaited.any(ENDPOINT_TYPE, (name) => this.#exists(ENDPOINT_TYPE, name));
  }

  /** A listener that has changed goes on with the routes that it follows already. */
  #routesAwaited(): boolean {
    const session = this.#sessions.get(ROUTE_TYPE);
    return this.#awaited.any(ROUTE_TYPE, (name) => this.#exists(ROUTE_TYPE, name) && session?.has(name) !== true);
  }

  #exists(typeUrl: TypeUrl, name: string): boolean {
    return this.#logs.get(typeUrl)?.versionOf(name) !== undefined;
  }
}

/** What Envoy asks for once it has got a resource, and uses that no earlier. */
function needOf(typeUrl: TypeUrl, name: string): { readonly typeUrl: TypeUrl; readonly name: string } | undefined {
  if (typeUrl === CLUSTER_TYPE) return { typeUrl: ENDPOINT_TYPE, name };
  if (typeUrl !== LISTENER_TYPE) return undefined;
  if (name === "connect_terminate") return { typeUrl: ROUTE_TYPE, name: "connect" };
  if (name.startsWith("inbound|")) return { typeUrl: ROUTE_TYPE, name: name.replace("inbound|", "http|") };
  return undefined;
}
