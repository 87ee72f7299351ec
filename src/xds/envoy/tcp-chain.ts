import type { ProxyPolicies } from "../../registry/model/proxy-policies.ts";
import type { ProxyPort, ProxyService } from "../../registry/model/proxy-service.ts";
import { connectionLog } from "./access-log.ts";
import { connectionAuthorization } from "./authorization-filters.ts";
import { anyOf, durationOf, envoy } from "./message.ts";
import { outboundName } from "./resource-names.ts";

type NetworkFilter = envoy.config.listener.v3.Filter.$Properties;

/**
 * The network filters of one port of a service whose bytes mean nothing to us. Its policies are here, in the listener:
 * connections that were let in under the old ones stay open until Envoy has drained them.
 */
export function tcpChain(service: ProxyService, port: ProxyPort, policies: ProxyPolicies | undefined): NetworkFilter[] {
  const typedConfig = anyOf(envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy, {
    statPrefix: `tcp|${service.service}|${port.number}`,
    cluster: outboundName(port.backend),
    // Connections may be quiet for days; those who opened them close them.
    idleTimeout: durationOf(0),
    accessLog: [connectionLog(service.service, port.number)],
  });
  return [...connectionAuthorization(policies, port.number), { name: "tcp", typedConfig }];
}

/** True if a policy asks for the server name of TLS, so that the listener must read it. */
export const needsServerName = (policies: ProxyPolicies | undefined): boolean =>
  (policies?.authorization ?? []).some(({ rules }) =>
    rules.some(({ when }) => when.some(({ on }) => on === "serverName")),
  );
