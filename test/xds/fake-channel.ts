import { envoy } from "../../proto/gen/mesh.js";
import type { Credentials } from "../../src/caller.ts";
import { MeshError } from "../../src/errors.ts";
import type { MessageChannel, MessageReceiver } from "../../src/grpc/method.ts";
import { ADDRESS_TYPE, AUTHORIZATION_TYPE } from "../../src/xds/resource.ts";

const { DeltaDiscoveryRequest, DeltaDiscoveryResponse } = envoy.service.discovery.v3;

export type Message = envoy.service.discovery.v3.IDeltaDiscoveryRequest;

/** A ztunnel's end of a stream that is no socket: what the server sends is decoded, what it is sent is encoded. */
export class FakeChannel implements MessageChannel {
  readonly sent: Uint8Array[] = [];
  headersSent = false;
  /** What `send` says: false for a socket that is full. */
  roomy = true;
  bytesWritten = 0;
  ended: MeshError | "ok" | undefined;
  receiver: MessageReceiver | undefined;

  constructor(readonly credentials: Credentials) {}

  sendHeaders(): void {
    this.headersSent = true;
  }
  send(parts: readonly Uint8Array[]): boolean {
    this.sent.push(Buffer.concat(parts));
    return this.roomy;
  }
  end(error?: Error): void {
    this.ended = error === undefined ? "ok" : MeshError.from(error);
    this.receiver?.closed();
  }

  write(message: Message): void {
    this.receiver!.message(DeltaDiscoveryRequest.encode(message).finish());
  }

  /** What arrived since the last call. */
  read(): readonly envoy.service.discovery.v3.DeltaDiscoveryResponse[] {
    return this.sent.splice(0).map((bytes) => DeltaDiscoveryResponse.decode(bytes));
  }

  /** The two requests of a ztunnel's start (contract ztunnel.md 2.1). */
  hello(metadata: Readonly<Record<string, string>> = {}): void {
    const said = {
      NAME: "ztunnel-1",
      NAMESPACE: "istio-system",
      INSTANCE_IPS: "10.0.0.9",
      NODE_NAME: "n1",
      ...metadata,
    };
    const fields = Object.fromEntries(Object.entries(said).map(([key, stringValue]) => [key, { stringValue }]));
    const id = "ztunnel~10.0.0.9~ztunnel-1.istio-system~istio-system.svc.cluster.local";
    for (const typeUrl of [ADDRESS_TYPE, AUTHORIZATION_TYPE])
      this.write({ typeUrl, node: { id, metadata: { fields } } });
  }

  ack(response: envoy.service.discovery.v3.IDeltaDiscoveryResponse): void {
    this.write({ typeUrl: response.typeUrl ?? "", responseNonce: response.nonce ?? "" });
  }
}

export const namesOf = (response: envoy.service.discovery.v3.IDeltaDiscoveryResponse | undefined): readonly string[] =>
  (response?.resources ?? []).map(({ name }) => name!).sort();
