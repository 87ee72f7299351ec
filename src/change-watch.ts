import type { ClusterId } from "./names.ts";

/** An object of a cluster that was written or deleted, as `Pod` `shop/cart`. */
export interface ArrivedObject {
  readonly cluster: ClusterId;
  readonly kind: string;
  readonly name: string;
  readonly deleted: boolean;
}

/** A client that has not been told all of a type yet. */
export interface ClientBehind {
  /** Of its stream. */
  readonly client: string;
  /** What people know it by. */
  readonly name: string;
  readonly typeUrl: string;
  /** The place in the log of that type up to which it is to be told. */
  readonly target: number;
}

/**
 * What is told of changes on their way from a cluster to clients while somebody collects traces (docs/tracing.md).
 * Nobody depends on it, and it changes nothing; a host has none while traces are off.
 */
export interface ChangeWatch {
  arrived(object: ArrivedObject): void;
  /** A peer has told of changes that are followed there; W3C traceparents, some of them at most. */
  heard(peer: ClusterId, traceparents: readonly string[]): void;
  /** What has arrived begins to settle. */
  settling(): void;
  /** It has, and is encoded from now on. */
  settled(): void;
  /** It is encoded. @param behind who is to be told. */
  flushed(behind: Iterable<ClientBehind>): void;
  /**
   * A response is handed to a client, of all up to a place in the log or of a part of that.
   * @returns the traceparents of what it tells, for a peer.
   */
  sent(client: string, typeUrl: string, position: number): readonly string[];
  /** A client has answered all that it was to be told, up to a place in the log. */
  served(client: string, typeUrl: string, position: number): void;
  /** A client has refused a response. */
  refused(client: string): void;
  left(client: string): void;
}
