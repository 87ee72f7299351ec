import * as grpc from "@grpc/grpc-js";
import { envoy } from "../../proto/gen/mesh.js";
import { FSDS_TYPE, type Resource, type TypeUrl } from "../../src/xds/resource.ts";
import { snapshotEnd } from "../../src/xds/types/snapshot-end.ts";
import type { TestAuthority } from "../kits/tls.ts";

const { DeltaDiscoveryRequest, DeltaDiscoveryResponse } = envoy.service.discovery.v3;
const PATH = "/envoy.service.discovery.v3.AggregatedDiscoveryService/DeltaAggregatedResources";
const same = (bytes: Buffer): Buffer => bytes;
const METHODS: grpc.ServiceDefinition = {
  delta: {
    path: PATH,
    requestStream: true,
    responseStream: true,
    requestSerialize: same,
    requestDeserialize: same,
    responseSerialize: same,
    responseDeserialize: same,
  },
};
const ISTIOD = "spiffe://cluster.local/ns/istio-system/sa/istiod";

/** What a control plane with a good certificate, and nothing else that is good, says to those who read it. */
export type Sayings = ReadonlyMap<TypeUrl, readonly Resource[]>;

/** A control plane that is @grpc/grpc-js and a certificate under a root that the others believe. It says whatever it is told to. */
export class RoguePeer {
  readonly #server: grpc.Server;
  readonly #open = new Map<TypeUrl, grpc.ServerDuplexStream<Buffer, Buffer>>();
  port = 0;
  #nonce = 0;
  sayings: Sayings = new Map();

  private constructor() {
    this.#server = new grpc.Server({ "grpc.max_send_message_length": -1 });
    this.#server.addService(METHODS, {
      delta: (call: grpc.ServerDuplexStream<Buffer, Buffer>) => {
        call.on("data", (bytes: Buffer) => this.#asked(call, bytes));
        call.on("error", () => {});
      },
    });
  }

  static async start(root: TestAuthority, authority: TestAuthority): Promise<RoguePeer> {
    const rogue = new RoguePeer();
    const { certificate, key } = await authority.issue([ISTIOD]);
    const pair = { cert_chain: Buffer.from(`${certificate}\n${authority.root}`), private_key: Buffer.from(key) };
    const credentials = grpc.ServerCredentials.createSsl(Buffer.from(root.root), [pair], true);
    rogue.port = await new Promise<number>((resolve, reject) =>
      rogue.#server.bindAsync("127.0.0.1:0", credentials, (error, port) => (error ? reject(error) : resolve(port))),
    );
    return rogue;
  }

  /** More, to who has asked. */
  say(typeUrl: TypeUrl, resources: readonly Resource[]): void {
    this.#answer(this.#open.get(typeUrl)!, typeUrl, resources);
  }

  close(): void {
    this.#server.forceShutdown();
  }

  #asked(call: grpc.ServerDuplexStream<Buffer, Buffer>, bytes: Buffer): void {
    const { typeUrl, responseNonce } = DeltaDiscoveryRequest.decode(bytes);
    if (responseNonce !== "") return;
    const type = typeUrl as TypeUrl;
    this.#open.set(type, call);
    this.#answer(call, type, [...(this.sayings.get(type) ?? []), snapshotEnd("rogue", Date.now())]);
  }

  #answer(call: grpc.ServerDuplexStream<Buffer, Buffer>, typeUrl: TypeUrl, resources: readonly Resource[]): void {
    const rest = DeltaDiscoveryResponse.encode({ typeUrl, nonce: String(++this.#nonce) }).finish();
    call.write(Buffer.concat([...resources.map(({ record }) => record), rest]));
  }
}

export interface RogueQuestion {
  readonly issuer: TestAuthority;
  readonly identity?: string;
  /** What it says that it is. */
  readonly cluster: string;
  readonly type?: TypeUrl;
}

/**
 * Asks a control plane as a rogue would, and waits for the end of a first state or of the stream.
 * @returns the names that it was told, or the refusal as `PERMISSION_DENIED NotAPeer`.
 */
export async function ask(
  port: number,
  root: TestAuthority,
  question: RogueQuestion,
): Promise<readonly string[] | string> {
  const { issuer, identity = ISTIOD, cluster, type = FSDS_TYPE } = question;
  const { certificate, key } = await issuer.issue([identity]);
  const [roots, own, chain] = [root.root, key, `${certificate}\n${issuer.root}`].map((pem) => Buffer.from(pem));
  const client = new grpc.Client(`127.0.0.1:${port}`, grpc.credentials.createSsl(roots, own, chain), {
    "grpc.ssl_target_name_override": "istiod.istio-system.svc",
  });
  const call = client.makeBidiStreamRequest<Buffer, Buffer>(PATH, same, same);
  const fields = { CLUSTER_ID: { stringValue: cluster }, NAMESPACE: { stringValue: "istio-system" } };
  const id = "istiod~10.8.0.1~istiod-1.istio-system~istio-system.svc.cluster.local";
  try {
    return await new Promise((resolve) => {
      const names: string[] = [];
      call.on("error", () => {});
      call.on("status", ({ code, metadata }: grpc.StatusObject) =>
        resolve(`${grpc.status[code]} ${String(metadata.get("causeway-reason")[0] ?? "")}`.trim()),
      );
      call.on("data", (bytes: Buffer) => {
        const { resources } = DeltaDiscoveryResponse.decode(bytes);
        names.push(...resources.map(({ name }) => name!));
        if (names.some((name) => name.startsWith("__synced__/")))
          resolve(names.filter((name) => !name.startsWith("__synced__/")));
      });
      call.write(
        Buffer.from(DeltaDiscoveryRequest.encode({ typeUrl: type, node: { id, metadata: { fields } } }).finish()),
      );
    });
  } finally {
    call.cancel();
    client.close();
  }
}
