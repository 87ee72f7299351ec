import { ORIGINAL_DESTINATION, TUNNEL } from "./endpoint-addresses.ts";
import { ADS, FROM_AGENT } from "./config-sources.ts";
import { anyOf, envoy, wrapped } from "./message.ts";
import { TRUST, trustName, WORKLOAD } from "./resource-names.ts";

type Socket = envoy.config.core.v3.TransportSocket.$Properties;
type Common = envoy.extensions.transport_sockets.tls.v3.CommonTlsContext.$Properties;

const Tls = envoy.extensions.transport_sockets.tls.v3;

/** TLS that ends here: callers must show a certificate of a trust domain that we know, under its own roots. */
export const tlsFromCallers = (): Socket => ({
  name: "tls",
  typedConfig: anyOf(Tls.DownstreamTlsContext, {
    requireClientCertificate: wrapped(true),
    commonTlsContext: common(TRUST),
    // A session that is resumed is not verified again, and roots may have gone since.
    disableStatelessSessionResumption: true,
    disableStatefulSessionResumption: true,
  }),
});

/**
 * TLS to whoever EXPECTED_NAMES names, under the roots of one trust domain. No session is kept, as Envoy keeps them for
 * all servers together, and verifies none that it resumes.
 */
export const tlsTo = (trustDomain: string): Socket => ({
  name: "tls",
  typedConfig: anyOf(Tls.UpstreamTlsContext, {
    commonTlsContext: common(trustName(trustDomain)),
    maxSessionKeys: wrapped(0),
  }),
});

function common(trust: string): Common {
  // All that ztunnel speaks (contract ztunnel.md 1.2). Both ends are said: a client of Envoy's stops at 1.2 otherwise.
  const { TLSv1_3 } = Tls.TlsParameters.TlsProtocol;
  return {
    tlsParams: { tlsMinimumProtocolVersion: TLSv1_3, tlsMaximumProtocolVersion: TLSv1_3 },
    alpnProtocols: ["h2"],
    tlsCertificateSdsSecretConfigs: [{ name: WORKLOAD, sdsConfig: FROM_AGENT }],
    validationContextSdsSecretConfig: { name: trust, sdsConfig: ADS },
  };
}

export const rawSocket = (): Socket => ({
  name: "raw_buffer",
  typedConfig: anyOf(envoy.extensions.transport_sockets.raw_buffer.v3.RawBuffer, {}),
});

/** To an internal listener, which gets the shared filter state of whoever asked, and the endpoint's metadata. */
export function internalSocket(within: Socket = rawSocket()): Socket {
  const passthroughMetadata = [TUNNEL, ORIGINAL_DESTINATION].map((name) => ({ name, kind: { host: {} } }));
  return {
    name: "internal_upstream",
    typedConfig: anyOf(envoy.extensions.transport_sockets.internal_upstream.v3.InternalUpstreamTransport, {
      passthroughMetadata,
      transportSocket: within,
    }),
  };
}
