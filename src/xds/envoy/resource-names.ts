import type { ServiceName } from "../../names.ts";
import type { BackendName } from "../../registry/model/proxy-backend.ts";

/** The routes of one HTTP port of a service, as `http|shop/cart.shop.svc.cluster.local|8080`. */
export const httpRouteName = (service: ServiceName, port: number): string => `http|${service}|${port}`;

/** The cluster of a backend, and its endpoints: `outbound|shop/cart.shop.svc.cluster.local|8080`. */
export function outboundName(backend: BackendName): string {
  const colon = backend.lastIndexOf(":");
  return `outbound|${backend.slice(0, colon)}|${backend.slice(colon + 1)}`;
}
