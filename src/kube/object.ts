/** An object as Kubernetes has it, before anything in it was checked. */
export interface KubeObject {
  readonly apiVersion: string;
  readonly kind: string;
  readonly metadata: KubeMetadata;
  readonly [field: string]: unknown;
}

/** The part of the metadata that is known to be well-formed once an object was read. */
export interface KubeMetadata {
  readonly name: string;
  /** Absent for cluster-wide objects. */
  readonly namespace?: string;
  readonly uid?: string;
  readonly labels?: Readonly<Record<string, string>>;
  readonly annotations?: Readonly<Record<string, string>>;
  readonly creationTimestamp?: string;
  readonly deletionTimestamp?: string;
  readonly generateName?: string;
  readonly ownerReferences?: readonly OwnerReference[];
  readonly [field: string]: unknown;
}

export interface OwnerReference {
  readonly kind: string;
  readonly name: string;
  readonly uid?: string;
  readonly controller?: boolean;
}

/** As much of an object as tells which one it is. */
export interface ObjectReference {
  readonly apiVersion: string;
  readonly kind: string;
  readonly metadata: Pick<KubeMetadata, "name" | "namespace">;
}

/** Where the objects of one cluster go: the registry's sources, or a test. */
export interface ObjectSink {
  /** `origin` is where the object was read, as `shop/cart.yaml:12`; empty if from an API server. */
  set(object: KubeObject, origin: string): void;
  /** Only what its group and kind say it is: two groups may have a kind of one name. Any version will do. */
  delete(object: ObjectReference): void;
}
