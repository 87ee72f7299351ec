/** What bounds a server, and each connection to it. */
export interface ServerLimits {
  /** Open connections: each ztunnel has two, and costs some 80 kB (stack.md 1c). */
  readonly connectionsMax: number;
  /** Of one address: a node has one ztunnel, but nodes may share an address translation. */
  readonly connectionsPerAddressMax: number;
  /** From accepting a connection until its TLS handshake is done. */
  readonly handshakeMs: number;
  /** Until the first request of a connection. */
  readonly firstRequestMs: number;
  /** A connection is asked whether it lives this often, and has `pongMs` to answer (contract ztunnel.md 1.3). */
  readonly pingMs: number;
  readonly pongMs: number;
  /** Of one connection; ztunnel has at most 8 certificate requests in flight (contract ztunnel.md 4.2). */
  readonly concurrentStreamsMax: number;
  /**
   * Calls that have proven nothing yet: being read, or at their authenticator. Each holds at most `windowBytes`, or the
   * limit of its method if that is more: 1 GiB in all, if 8 addresses conspire.
   */
  readonly unprovenMax: number;
  /** Of one address; enough for 128 ztunnels behind one address translation, with 8 requests each. */
  readonly unprovenPerAddressMax: number;
  /** What a client may send on one stream before we have read it. */
  readonly windowBytes: number;
  /** Streams that a client may cancel within a second; beyond, it is attacking (CVE-2023-44487). */
  readonly resetsPerSecondMax: number;
  /** Decoded, of one request; a Kubernetes token has 1 to 2 kB. */
  readonly headerBytesMax: number;
  /** How long an ended call may take to hand its last bytes to the client. */
  readonly flushMs: number;
}

export const SERVER_LIMITS: ServerLimits = {
  connectionsMax: 20_000,
  connectionsPerAddressMax: 2_048,
  handshakeMs: 5_000,
  firstRequestMs: 10_000,
  pingMs: 30_000,
  pongMs: 10_000,
  concurrentStreamsMax: 100,
  unprovenMax: 8_192,
  unprovenPerAddressMax: 1_024,
  windowBytes: 128 * 1024,
  resetsPerSecondMax: 200,
  headerBytesMax: 32 * 1024,
  flushMs: 5_000,
};
