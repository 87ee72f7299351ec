import assert from "node:assert/strict";
import { getEventListeners } from "node:events";
import * as grpc from "@grpc/grpc-js";
import { test } from "mocha";
import { envoy } from "../../proto/gen/mesh.js";
import { MeshError } from "../../src/errors.ts";
import { DeltaClient } from "../../src/xds/delta-client.ts";
import { followXds } from "../../src/xds/follow.ts";
import { ADDRESS_TYPE } from "../../src/xds/resource.ts";
import { VirtualClock } from "../sim/world.ts";

const METHOD = "/envoy.service.discovery.v3.AggregatedDiscoveryService/DeltaAggregatedResources";
const same = (bytes: Buffer): Buffer => bytes;

/** A control plane that answers each request with an empty response. */
async function emptyMesh(): Promise<{ readonly address: string; readonly gone: () => void }> {
  const server = new grpc.Server();
  const { DeltaDiscoveryResponse } = envoy.service.discovery.v3;
  const response = DeltaDiscoveryResponse.encode({ typeUrl: ADDRESS_TYPE, nonce: "1" }).finish();
  const method = { path: METHOD, requestStream: true, responseStream: true, requestDeserialize: same } as const;
  const codecs = { requestSerialize: same, responseSerialize: same, responseDeserialize: same };
  server.addService(
    { delta: { ...method, ...codecs } },
    {
      delta: (call: grpc.ServerDuplexStream<Buffer, Buffer>) =>
        call.once("data", () => call.write(Buffer.from(response))),
    },
  );
  const port = await new Promise<number>((resolve, reject) =>
    server.bindAsync("127.0.0.1:0", grpc.ServerCredentials.createInsecure(), (error, bound) =>
      error ? reject(error) : resolve(bound),
    ),
  );
  return { address: `127.0.0.1:${port}`, gone: () => server.forceShutdown() };
}

test("a client that is down for long says in plain words what is wrong, and holds on to nothing for it", async () => {
  const { address, gone } = await emptyMesh();
  const clock = new VirtualClock();
  const stop = new AbortController();
  const lost: string[] = [];
  const waiting: number[] = [];
  const onLost = ({ message }: MeshError, retryMs: number): void => {
    lost.push(message);
    if (lost.length === 15) stop.abort();
    // Once the pause has begun.
    setImmediate(() => {
      waiting.push(getEventListeners(stop.signal, "abort").length);
      clock.advance(retryMs);
    });
  };
  const client = new DeltaClient({ id: "test", metadata: new Map() }, [ADDRESS_TYPE]);
  const target = { address, roots: undefined, token: undefined, clusterId: "east" };
  await followXds({ target, client, clock, signal: stop.signal, onUpdate: gone, onLost });
  assert.deepEqual(lost.slice(1), Array<string>(14).fill(`${address}: nothing listens there (UNAVAILABLE)`));
  assert.deepEqual(waiting.slice(0, 14), Array<number>(14).fill(1));
  assert.equal(getEventListeners(stop.signal, "abort").length, 0);
});
