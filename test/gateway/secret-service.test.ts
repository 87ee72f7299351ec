import assert from "node:assert/strict";
import { statSync, writeFileSync } from "node:fs";
import * as grpc from "@grpc/grpc-js";
import { test } from "mocha";
import { envoy as own } from "../../proto/gen/envoy.js";
import { envoy } from "../../proto/gen/mesh.js";
import { SecretService } from "../../src/gateway/secret-service.ts";
import { serveSecrets } from "../../src/gateway/secret-socket.ts";
import { controlPlaneRootSecret, workloadSecret } from "../../src/gateway/secrets.ts";
import type { Svid } from "../../src/gateway/svid.ts";
import { folderOf } from "../kits/folder.ts";
import { realHost } from "../kits/real-host.ts";
import { until } from "../kits/until.ts";

const { DeltaDiscoveryRequest, DeltaDiscoveryResponse, DiscoveryRequest, DiscoveryResponse } =
  envoy.service.discovery.v3;
const { Secret } = own.extensions.transport_sockets.tls.v3;
const TYPE = "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.Secret";

const svid = (serial: number): Svid => ({
  spiffeId: "spiffe://td/ns/shop/sa/waypoint",
  trustDomain: "td",
  chain: `chain ${serial}`,
  key: `key ${serial}`,
  notBefore: 0,
  notAfter: 1,
});
const same = (bytes: Buffer): Buffer => bytes;
const textOf = (source: own.config.core.v3.IDataSource | null | undefined): string =>
  Buffer.from(source?.inlineBytes ?? []).toString();

/** The service on a socket, and a gRPC client of another make. */
async function lab(method: "DeltaSecrets" | "StreamSecrets") {
  const folder = await folderOf({});
  const host = realHost();
  const secrets = new SecretService(host);
  const path = folder.at("secrets.sock");
  const server = await serveSecrets(host, secrets, path);
  const client = new grpc.Client(`unix:${path}`, grpc.credentials.createInsecure());
  const stream = client.makeBidiStreamRequest(`/envoy.service.secret.v3.SecretDiscoveryService/${method}`, same, same);
  const received: Buffer[] = [];
  let failure: grpc.ServiceError | undefined;
  stream.on("data", (bytes: Buffer) => void received.push(bytes));
  stream.on("error", (error: grpc.ServiceError) => (failure = error));
  return {
    host,
    secrets,
    path,
    stream,
    received,
    failure: () => failure,
    [Symbol.asyncDispose]: async () => {
      stream.cancel();
      client.close();
      await server.close(0);
      await folder[Symbol.asyncDispose]();
    },
  };
}

const delta = (request: envoy.service.discovery.v3.IDeltaDiscoveryRequest): Buffer =>
  Buffer.from(DeltaDiscoveryRequest.encode({ typeUrl: TYPE, ...request }).finish());
const sotw = (request: envoy.service.discovery.v3.IDiscoveryRequest): Buffer =>
  Buffer.from(DiscoveryRequest.encode({ typeUrl: TYPE, ...request }).finish());

test("an Envoy that reads by deltas gets its certificate, and each new one, on the same stream", async () => {
  await using at = await lab("DeltaSecrets");
  at.secrets.set(workloadSecret(svid(1)));
  at.stream.write(delta({ resourceNamesSubscribe: ["workload"] }));
  await until(() => at.received.length === 1);
  const first = DeltaDiscoveryResponse.decode(at.received[0]!);
  const { name, tlsCertificate } = Secret.decode(first.resources[0]!.resource!.value!);
  assert.deepEqual(
    [name, textOf(tlsCertificate?.certificateChain), textOf(tlsCertificate?.privateKey)],
    ["workload", "chain 1", "key 1"],
  );
  at.stream.write(delta({ responseNonce: first.nonce }));
  at.secrets.set(workloadSecret(svid(2)));
  await until(() => at.received.length === 2);
  const [second] = DeltaDiscoveryResponse.decode(at.received[1]!).resources;
  assert.equal(textOf(Secret.decode(second!.resource!.value!).tlsCertificate?.privateKey), "key 2");
});

test("an Envoy that reads the whole state gets its certificate, and each new one, on the same stream", async () => {
  await using at = await lab("StreamSecrets");
  at.stream.write(sotw({ resourceNames: ["workload"] }));
  at.secrets.set(controlPlaneRootSecret("roots", "istiod.istio-system.svc"));
  at.secrets.set(workloadSecret(svid(1)));
  await until(() => at.received.length === 1);
  const first = DiscoveryResponse.decode(at.received[0]!);
  assert.deepEqual([first.resources.length, first.typeUrl], [1, TYPE]);
  at.secrets.set(workloadSecret(svid(2)));
  at.secrets.set(workloadSecret(svid(3)));
  at.stream.write(sotw({ resourceNames: ["workload"], responseNonce: first.nonce, versionInfo: first.versionInfo }));
  await until(() => at.received.length === 2);
  const [secret] = DiscoveryResponse.decode(at.received[1]!).resources;
  assert.equal(textOf(Secret.decode(secret!.value!).tlsCertificate?.privateKey), "key 3");
});

test("a secret that Envoy refuses is an error in the log, in either form", async () => {
  for (const method of ["DeltaSecrets", "StreamSecrets"] as const) {
    await using at = await lab(method);
    at.secrets.set(workloadSecret(svid(1)));
    const incremental = method === "DeltaSecrets";
    at.stream.write(
      incremental ? delta({ resourceNamesSubscribe: ["workload"] }) : sotw({ resourceNames: ["workload"] }),
    );
    await until(() => at.received.length === 1);
    const nack = { responseNonce: "1", errorDetail: { message: "no key\nin it" } };
    at.stream.write(incremental ? delta(nack) : sotw({ ...nack, resourceNames: ["workload"] }));
    await until(() => at.host.lines.some((line) => line.includes("refused a secret: no key\\nin it")));
    assert.ok(!at.host.lines.some((line) => line.includes("key 1")));
  }
});

test("who answers as the control plane must have its very name, be that a DNS name or an address", () => {
  const { SanType } = own.extensions.transport_sockets.tls.v3.SubjectAltNameMatcher;
  for (const [name, sanType] of [
    ["istiod.istio-system.svc", SanType.DNS],
    ["10.0.0.1", SanType.IP_ADDRESS],
  ] as const) {
    const { validationContext } = Secret.decode(controlPlaneRootSecret("roots", name).body);
    assert.equal(textOf(validationContext?.trustedCa), "roots");
    const [match, ...more] = validationContext!.matchTypedSubjectAltNames!;
    assert.deepEqual([match?.sanType, match?.matcher?.exact, more.length], [sanType, name, 0]);
  }
});

test("a stream that asks for anything but secrets ends with a sentence", async () => {
  await using at = await lab("DeltaSecrets");
  at.stream.write(delta({ typeUrl: "type.googleapis.com/envoy.config.cluster.v3.Cluster" }));
  await until(() => at.failure() !== undefined);
  assert.match(at.failure()!.details, /only secrets are served on this socket/);
});

test("nobody but our own user can open the socket", async () => {
  await using at = await lab("DeltaSecrets");
  assert.equal(statSync(at.path).mode & 0o777, 0o600);
});

test("a socket that a killed process left is replaced; that of one that lives is not", async () => {
  await using at = await lab("DeltaSecrets");
  await assert.rejects(serveSecrets(at.host, at.secrets, at.path), /another causeway gateway serves .*secrets\.sock/);
  await using folder = await folderOf({ "secrets.sock": "" });
  const server = await serveSecrets(at.host, at.secrets, folder.at("secrets.sock"));
  await server.close(0);
});

test("a path that is too long, and a folder that cannot be made, are named with what to do", async () => {
  await using folder = await folderOf({});
  const host = realHost();
  const long = folder.at(`${"x".repeat(100)}/secrets.sock`);
  await assert.rejects(
    serveSecrets(host, new SecretService(host), long),
    /has a path of \d+ bytes, and the system takes 107: choose a shorter --run-dir/,
  );
  writeFileSync(folder.at("file"), "");
  await assert.rejects(
    serveSecrets(host, new SecretService(host), folder.at("file/run/secrets.sock")),
    /the run folder .*file\/run cannot be written: .*mount an emptyDir/,
  );
});
