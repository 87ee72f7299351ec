import { MeshError } from "../errors.ts";
import { printable } from "../printable.ts";
import { formatServiceAccountId } from "../spiffe.ts";
import type { ClientStatus } from "../xds/client-status.ts";
import type { Holding, TypeUrl } from "../xds/resource.ts";
import { type SyncOptions, syncView, timeText, type TypeSync } from "./sync-view.ts";

/** What the discovery server knows of its clients. */
export interface ClientsViewed {
  clients(): readonly ClientStatus[];
  /** What a client holds of each type that it asked for; undefined if it is gone. */
  holdings(client: string): ReadonlyMap<TypeUrl, Iterable<Holding>> | undefined;
}

export function connections(clients: readonly ClientStatus[]): unknown {
  return { totalClients: clients.length, clients: clients.map(connection) };
}

/** As `connections`, and what each client asked for: what istiod shows of Envoys. */
export function adsz(clients: readonly ClientStatus[]): unknown {
  return {
    totalClients: clients.length,
    clients: clients.map((client) => ({
      ...connection(client),
      metadata: Object.fromEntries(client.node?.metadata ?? []),
      watches: Object.fromEntries(
        client.subscriptions.map(({ typeUrl, wildcard, subscribed }) => [typeUrl, wildcard ? "*" : subscribed]),
      ),
    })),
  };
}

/** @param query `proxyID=pod.namespace`, as proxy-status names clients; of several streams, the newest counts. */
export function configDump(viewed: ClientsViewed, query: URLSearchParams, options: SyncOptions): unknown {
  const client = wantedClient(viewed.clients(), query.get("proxyID") ?? "");
  const [sync] = syncView([client], options);
  const holdings = viewed.holdings(client.id) ?? new Map<TypeUrl, Iterable<Holding>>();
  const typeOf = (typeUrl: TypeUrl): TypeSync | undefined => sync?.types.find(({ type_url }) => type_url === typeUrl);
  const types = Array.from(holdings, ([typeUrl, resources]) => [typeUrl, { ...typeOf(typeUrl), resources }]);
  return { ...connection(client), types: Object.fromEntries(types) as unknown };
}

function wantedClient(clients: readonly ClientStatus[], proxy: string): ClientStatus {
  if (proxy === "") throw new MeshError("invalid", "name the client, as ?proxyID=ztunnel-x7k2p.istio-system");
  const [newest] = clients
    .filter((client) => proxyOf(client) === proxy)
    .sort((a, b) => b.connectedAt - a.connectedAt || Number(b.id) - Number(a.id));
  if (newest !== undefined) return newest;
  throw new MeshError(
    "absent",
    `no client ${printable(proxy, 120)} is connected here; /debug/syncz names those that are`,
  );
}

const proxyOf = ({ node }: ClientStatus): string => node?.id.split("~")[2] ?? "";

function connection(client: ClientStatus) {
  const { id, connectedAt, remoteAddress, identity, node } = client;
  return {
    connectionId: node === undefined ? id : `${proxyOf(client)}-${id}`,
    connectedAt: timeText(connectedAt),
    address: remoteAddress,
    identity: identity === undefined ? "" : formatServiceAccountId(identity),
    node: node?.id ?? "",
  };
}
