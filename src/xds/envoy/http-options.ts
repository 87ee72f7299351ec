import type { BackendSettings, ProxyBackend } from "../../registry/model/proxy-backend.ts";
import { anyOf, durationOf, envoy, wrapped } from "./message.ts";
import { tunnelHttp2 } from "./tunnel-limits.ts";

type Cluster = envoy.config.cluster.v3.Cluster.$Properties;
type Options = envoy.extensions.upstreams.http.v3.HttpProtocolOptions.$Properties;

const Options = envoy.extensions.upstreams.http.v3.HttpProtocolOptions;

const extension = (options: Options): Cluster => ({
  typedExtensionProtocolOptions: { [Options.getTypeUrl("").slice(1)]: anyOf(Options, options) },
});

/** How requests are sent to a backend; nothing for one that gets no requests. */
export function httpOptions(protocol: ProxyBackend["protocol"], settings: BackendSettings): Cluster {
  if (protocol === "tcp") return {};
  const { idleTimeoutMs, maxRequestsPerConnection } = settings;
  return extension({
    ...PROTOCOLS[protocol],
    commonHttpProtocolOptions: {
      ...(idleTimeoutMs !== undefined && { idleTimeout: durationOf(idleTimeoutMs) }),
      ...(maxRequestsPerConnection !== undefined && { maxRequestsPerConnection: wrapped(maxRequestsPerConnection) }),
    },
  });
}

const PROTOCOLS: Readonly<Record<Exclude<ProxyBackend["protocol"], "tcp">, Options>> = {
  http1: { explicitHttpConfig: { httpProtocolOptions: {} } },
  http2: { explicitHttpConfig: { http2ProtocolOptions: {} } },
  same: { useDownstreamProtocolConfig: { httpProtocolOptions: {}, http2ProtocolOptions: {} } },
};

/** How tunnels are opened. @param share how many may be in one connection, and how many it may have in its life; 0 for any. */
export const tunnelOptions = (share: { readonly atOnce: number; readonly inAll: number }): Cluster =>
  extension({
    explicitHttpConfig: { http2ProtocolOptions: tunnelHttp2(share.atOnce) },
    ...(share.inAll > 0 && { commonHttpProtocolOptions: { maxRequestsPerConnection: wrapped(share.inAll) } }),
  });
