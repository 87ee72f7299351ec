import * as grpc from "@grpc/grpc-js";
import { MeshError } from "../errors.ts";
import type { DeltaClient, DeltaUpdate } from "./delta-client.ts";
import { callError, clientChannel } from "../grpc/client-channel.ts";
import { decodeDeltaResponse, encodeDeltaRequest } from "./wire.ts";

const METHOD = "/envoy.service.discovery.v3.AggregatedDiscoveryService/DeltaAggregatedResources";
/** As ztunnel takes (contract ztunnel.md 1.1). */
const RESPONSE_BYTES_MAX = 200 * 1024 * 1024;

/** Where a control plane is, and how to be let in. */
export interface XdsTarget {
  /** `host:port`. */
  readonly address: string;
  /** PEM of the roots to trust; undefined for a plaintext port. */
  readonly roots: string | undefined;
  /** A service account token with audience `istio-ca`. */
  readonly token: string | undefined;
  /** The cluster that the token is of. */
  readonly clusterId: string;
}

export interface DialOptions {
  readonly target: XdsTarget;
  readonly client: DeltaClient;
  /** Each response, before it is taken and answered; what it throws is sent as a NACK. */
  readonly onUpdate: (update: DeltaUpdate) => void;
  /** Ends the stream, without an error. */
  readonly signal: AbortSignal;
}

/**
 * Carries a delta client over one stream, until the signal aborts.
 * @throws MeshError with the code of the status if the server refuses or the stream breaks.
 */
export async function dialXds({ target, client, onUpdate, signal }: DialOptions): Promise<void> {
  const { credentials, options } = clientChannel(target.address, target.roots);
  const channel = new grpc.Client(target.address, credentials, {
    ...options,
    "grpc.max_receive_message_length": RESPONSE_BYTES_MAX,
    "grpc.max_send_message_length": -1,
    // One target, one stream: no retries beyond the caller's.
    "grpc.enable_retries": 0,
    "grpc.service_config_disable_resolution": 1,
  });
  const same = (bytes: Buffer): Buffer => bytes;
  const stream = channel.makeBidiStreamRequest<Buffer, Buffer>(METHOD, same, same, metadataOf(target));
  const stop = (): void => stream.cancel();
  signal.addEventListener("abort", stop, { once: true });
  try {
    await new Promise<void>((resolve, reject) => {
      if (signal.aborted) stop();
      stream.on("data", (bytes: Buffer) => void stream.write(Buffer.from(answer(client, bytes, onUpdate))));
      stream.on("error", (error: grpc.ServiceError) =>
        signal.aborted ? resolve() : reject(callError(error, target.address)),
      );
      stream.on("end", () => reject(new MeshError("unavailable", `${target.address} ended the stream`)));
      for (const request of client.start()) stream.write(Buffer.from(encodeDeltaRequest(request)));
    });
  } finally {
    signal.removeEventListener("abort", stop);
    channel.close();
  }
}

function answer(client: DeltaClient, bytes: Uint8Array, onUpdate: (update: DeltaUpdate) => void): Uint8Array {
  const update = decodeDeltaResponse(bytes);
  try {
    onUpdate(update);
  } catch (thrown) {
    return encodeDeltaRequest(client.receive(update, MeshError.from(thrown).message));
  }
  return encodeDeltaRequest(client.receive(update));
}

function metadataOf({ token, clusterId }: XdsTarget): grpc.Metadata {
  const metadata = new grpc.Metadata();
  if (token !== undefined) metadata.set("authorization", `Bearer ${token}`);
  metadata.set("clusterid", clusterId);
  return metadata;
}
