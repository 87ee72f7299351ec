import type { Caller } from "../caller.ts";
import type { MeshError } from "../errors.ts";
import type { ClientNode, TypeUrl } from "./resource.ts";
import type { ResourceLog } from "./resource-log.ts";

/** Which proxies get the configuration of which Gateway. */
export interface GatewayGate {
  /**
   * Lets in a proxy that has said whose it is.
   * @throws MeshError `invalid`, `denied`, or `unavailable` while the Gateway is not there; it must end the stream.
   */
  enter(caller: Caller, node: ClientNode, visitor: GatewayVisitor): GatewayVisit;
}

/** A stream of a proxy. */
export interface GatewayVisitor {
  /** Its logs have changed. */
  changed(): void;
  /** What it does not take of a type now, by name, and why. */
  rejected(typeUrl: TypeUrl): ReadonlyMap<string, string>;
  /** It may read nothing any more. */
  expel(error: MeshError): void;
}

export interface GatewayVisit {
  /** As `shop/waypoint`. */
  readonly gateway: string;
  /** Of all types that its proxies may subscribe to; the same for each of them. */
  readonly logs: ReadonlyMap<TypeUrl, ResourceLog>;
  /** The proxy has taken or rejected something of a type. */
  answered(typeUrl: TypeUrl): void;
  /** Idempotent. */
  leave(): void;
}
