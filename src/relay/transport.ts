import type { MeshError } from "../errors.ts";
import type { EpochMs } from "../host.ts";
import type { ClusterId } from "../names.ts";
import type { ClientIdentity } from "./client-identity.ts";
import type { ClientCredentials, ClusterMessage, ManagerMessage } from "./messages.ts";
import type { BootstrapToken } from "./token.ts";

/** How a cluster reaches the trust manager: gRPC, or a test. */
export interface RelayTransport {
  /** As `trust.example:9900`, for messages. */
  readonly address: string;
  /**
   * A first client certificate, of a manager that is known by the token alone.
   * @throws MeshError `denied` for a server that is not the token's, or what it answered.
   */
  enroll(request: Enrollment, signal: AbortSignal): Promise<ClientCredentials>;
  /** @throws MeshError */
  renew(identity: ClientIdentity, csr: string, signal: AbortSignal): Promise<ClientCredentials>;
  /** Opens the stream. `receiver` is never called before this has returned. */
  follow(identity: ClientIdentity, receiver: RelayReceiver): RelayStream;
}

export interface Enrollment {
  readonly token: Pick<BootstrapToken, "rootSha256"> & { readonly text: string };
  readonly cluster: ClusterId;
  readonly csr: string;
  readonly clock: EpochMs;
}

export interface RelayReceiver {
  /** The manager took the call. */
  connected(): void;
  received(message: ManagerMessage): void;
  /** Once, and nothing after it; not after `close`. */
  ended(why: MeshError): void;
}

export interface RelayStream {
  /** @throws MeshError `invalid` for a message that breaks a rule of the relay. */
  send(message: ClusterMessage): void;
  /** Idempotent. */
  close(): void;
}
