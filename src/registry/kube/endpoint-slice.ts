import { endpointAddress } from "./endpoint-address.ts";
import { FieldError, fieldsOf, integerOf, listOf, textOf, truthOf, type Fields } from "./fields.ts";
import { idOf, type Metadata, type ObjectId } from "./metadata.ts";

/** Endpoints of one Service, as listed by a controller or by hand. */
export interface EndpointSlice {
  readonly id: ObjectId;
  readonly service: string;
  readonly ports: readonly SlicePort[];
  /** Pods, by name; their addresses are the pods' own. */
  readonly pods: readonly { readonly namespace: string; readonly name: string; readonly uid: string }[];
  readonly endpoints: readonly SliceEndpoint[];
}

export interface SlicePort {
  readonly name: string;
  readonly port: number;
}

export interface SliceEndpoint {
  /** Canonical, never empty; the first is its name. */
  readonly addresses: readonly string[];
  readonly ready: boolean;
}

/** Undefined if it says nothing to us: no service, or host names for addresses. @throws FieldError */
export function readEndpointSlice(metadata: Metadata, object: Fields): EndpointSlice | undefined {
  const service = metadata.labels.map.get("kubernetes.io/service-name");
  if (!service || object["addressType"] === "FQDN") return undefined;
  const pods: EndpointSlice["pods"][number][] = [];
  const endpoints: SliceEndpoint[] = [];
  listOf(object["endpoints"], "endpoints").forEach((item, at) => {
    const field = `endpoints[${at}]`;
    const endpoint = fieldsOf(item, field);
    const target = fieldsOf(endpoint["targetRef"], `${field}.targetRef`);
    if (target["kind"] === "Pod")
      pods.push({
        namespace: textOf(target["namespace"], `${field}.targetRef.namespace`) || metadata.namespace,
        name: textOf(target["name"], `${field}.targetRef.name`),
        uid: textOf(target["uid"], `${field}.targetRef.uid`),
      });
    else endpoints.push(readEndpoint(endpoint, field));
  });
  return { id: idOf(metadata), service, ports: slicePorts(object), pods, endpoints };
}

function readEndpoint(endpoint: Fields, field: string): SliceEndpoint {
  const addresses = listOf(endpoint["addresses"], `${field}.addresses`, 100).map((item, at) =>
    endpointAddress(textOf(item, `${field}.addresses[${at}]`), `${field}.addresses[${at}]`),
  );
  if (addresses.length === 0) throw new FieldError(`${field}.addresses`, "is empty; an endpoint needs an address");
  const conditions = fieldsOf(endpoint["conditions"], `${field}.conditions`);
  return { addresses, ready: truthOf(conditions["ready"], `${field}.conditions.ready`) ?? true };
}

function slicePorts(object: Fields): readonly SlicePort[] {
  return listOf(object["ports"], "ports", 1_000).flatMap((item, at) => {
    const port = fieldsOf(item, `ports[${at}]`);
    const number = integerOf(port["port"], `ports[${at}].port`, 1, 65_535);
    const protocol = textOf(port["protocol"], `ports[${at}].protocol`) || "TCP";
    if (number === undefined || protocol !== "TCP") return [];
    return [{ name: textOf(port["name"], `ports[${at}].name`), port: number }];
  });
}
