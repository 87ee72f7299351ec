import type { ResourceType } from "../../src/kube/api.ts";
import type { KubeObject, ObjectReference, ObjectSink } from "../../src/kube/object.ts";
import { Reflector, type ReflectorOptions } from "../../src/kube/reflector.ts";
import { RelistGate } from "../../src/kube/relist-gate.ts";
import { FakeApiServer } from "../kits/fake-api-server.ts";
import { TestHost } from "../kits/test-host.ts";

/** A sink that shows what it holds, and what it was told. */
export class Shelf implements ObjectSink {
  readonly objects = new Map<string, KubeObject>();
  /** As `set shop/cart` and `delete shop/cart`. */
  readonly told: string[] = [];

  set(object: KubeObject): void {
    this.told.push(`set ${keyOf(object)}`);
    this.objects.set(keyOf(object), object);
  }
  delete(object: ObjectReference): void {
    this.told.push(`delete ${keyOf(object)}`);
    this.objects.delete(keyOf(object));
  }
  get names(): readonly string[] {
    return [...this.objects.keys()].sort();
  }
}

export const keyOf = ({ metadata }: ObjectReference): string =>
  metadata.namespace === undefined ? metadata.name : `${metadata.namespace}/${metadata.name}`;

/** A server, and a reflector of one of its kinds. */
export function reflectorLab(type: ResourceType, options: Partial<ReflectorOptions> = {}) {
  const host = new TestHost();
  const server = new FakeApiServer(host.clock);
  const api = server.connect();
  const shelf = new Shelf();
  const gate = new RelistGate();
  let synced = 0;
  const reflector = new Reflector(host, api, gate, {
    cluster: "east",
    type,
    sink: shelf,
    onSynced: () => (synced += 1),
    ...options,
  });
  const object = (name: string, rest: object = {}, namespace = "shop") =>
    ({
      apiVersion: type.group === "" ? "v1" : `${type.group}/${type.versions[0]}`,
      kind: type.kind,
      metadata: { name, ...(type.namespaced ? { namespace } : {}), ...rest },
    }) as const;
  return {
    host,
    server,
    api,
    shelf,
    gate,
    reflector,
    get synced() {
      return synced;
    },
    put: (name: string, rest?: object, namespace?: string) => server.put(object(name, rest, namespace)),
    remove: (name: string) => server.remove(object(name)),
    pass: (ms: number) => host.clock.pass(ms),
    /** Requests so far whose path has `part`. */
    asked: (part: string) => server.requests.filter(({ path }) => path.includes(part)).length,
  };
}
