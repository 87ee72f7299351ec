import assert from "node:assert/strict";
import { test } from "mocha";
import { encodeConnectTerminate } from "../../../src/xds/envoy/connect-terminate.ts";
import { envoy } from "../../../src/xds/envoy/message.ts";
import { encodeDomainTrust, encodeTrust } from "../../../src/xds/envoy/trust-secrets.ts";
import { derOf, TestAuthority } from "../../kits/tls.ts";
import { gateway } from "./samples.ts";

const Tls = envoy.extensions.transport_sockets.tls.v3;
const Hcm = envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager;

function decoded(changes: Parameters<typeof gateway>[0] = {}) {
  const listener = envoy.config.listener.v3.Listener.decode(encodeConnectTerminate(gateway(changes)));
  const [{ transportSocket, filters } = {}] = listener.filterChains!;
  const tls = Tls.DownstreamTlsContext.decode(transportSocket!.typedConfig!.value!);
  return { listener, tls, manager: Hcm.decode(filters![0]!.typedConfig!.value!) };
}

test("callers must prove who they are by TLS 1.3, each time anew", () => {
  const { tls } = decoded();
  assert.equal(tls.requireClientCertificate?.value, true);
  assert.deepEqual([tls.disableStatefulSessionResumption, tls.disableStatelessSessionResumption], [true, true]);
  const { tlsParams, alpnProtocols, validationContextSdsSecretConfig } = tls.commonTlsContext!;
  const { TLSv1_3 } = Tls.TlsParameters.TlsProtocol;
  assert.deepEqual([tlsParams?.tlsMinimumProtocolVersion, tlsParams?.tlsMaximumProtocolVersion], [TLSv1_3, TLSv1_3]);
  assert.deepEqual([alpnProtocols, validationContextSdsSecretConfig?.name], [["h2"], "trust"]);
});

test("the proxy's own certificate comes from its agent, and nothing of it from the control plane", () => {
  const [workload, ...others] = decoded().tls.commonTlsContext!.tlsCertificateSdsSecretConfigs!;
  assert.deepEqual(others, []);
  assert.equal(workload!.name, "workload");
  const [service] = workload!.sdsConfig!.apiConfigSource!.grpcServices!;
  assert.equal(service!.envoyGrpc?.clusterName, "agent");
});

test("tunnels may be quiet for ever, while callers that are gone are noticed by pings", () => {
  const { manager } = decoded();
  assert.equal(Number(manager.streamIdleTimeout?.seconds ?? -1), 0);
  assert.equal(Number(manager.requestTimeout?.seconds ?? -1), 0);
  assert.equal(Number(manager.http2ProtocolOptions?.connectionKeepalive?.interval?.seconds), 30);
  assert.equal(manager.useRemoteAddress?.value, true);
});

test("a gateway listens on IPv6, too, where its pods have it", () => {
  const addresses = [decoded(), decoded({ ipv6: true })].map(({ listener }) => listener.address?.socketAddress);
  assert.deepEqual(
    addresses.map((socket) => [socket?.address, socket?.ipv4Compat ?? false, socket?.portValue]),
    [
      ["0.0.0.0", false, 15008],
      ["::", true, 15008],
    ],
  );
});

test("each trust domain is believed under its own roots, and a server must be of the one that is dialled", async () => {
  const [east, west] = await Promise.all([TestAuthority.create("CN=east"), TestAuthority.create("CN=west")]);
  const domains = [
    { trustDomain: "east.example", roots: [derOf(east.root)] },
    { trustDomain: "west.example", roots: [derOf(west.root)] },
  ];
  const { validationContext } = Tls.Secret.decode(encodeTrust(domains));
  const validator = validationContext!.customValidatorConfig!;
  assert.equal(validator.name, "envoy.tls.cert_validator.spiffe");
  const { trustDomains } = Tls.SPIFFECertValidatorConfig.decode(validator.typedConfig!.value!);
  const bundles = trustDomains!.map(({ name, trustBundle }) => [name, derOf(trustBundle!.inlineString!)] as const);
  assert.deepEqual(
    bundles,
    domains.map(({ trustDomain, roots }) => [trustDomain, roots[0]]),
  );
  const server = Tls.Secret.decode(encodeDomainTrust(domains[1]!));
  assert.equal(server.name, "trust|west.example");
  assert.deepEqual(derOf(server.validationContext!.trustedCa!.inlineString!), domains[1]!.roots[0]);
  assert.deepEqual(
    server.validationContext!.matchTypedSubjectAltNames!.map(({ matcher }) => matcher?.prefix),
    ["spiffe://west.example/"],
  );
});
