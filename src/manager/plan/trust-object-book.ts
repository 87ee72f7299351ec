import { isDeepStrictEqual } from "node:util";
import type { KubeObject, ObjectReference, ObjectSink } from "../../kube/object.ts";
import { clusterId } from "../../names.ts";
import { FieldError } from "../../registry/kube/fields.ts";
import { bareMetadata, bookName, metadataOf, placeOf, type Metadata } from "../../registry/kube/metadata.ts";
import { isTrustKind } from "../feeds/object-feed.ts";
import { trustObjectId } from "../objects/trust-object-id.ts";
import { knownObject, type Known, type TrustObjects, type TrustValues } from "../objects/trust-objects.ts";
import type { TrustKind } from "../policy.ts";

type Books = { readonly [Kind in TrustKind]: Map<string, Known<TrustValues[Kind]>> };

/** They are all of one cluster, and in none that has a name. */
const NO_CLUSTER = clusterId("management");

/**
 * The objects of a trust manager as they are now. One that was read once and cannot be read any more keeps what it said:
 * a mistake in an object takes away nothing, its deletion does.
 */
export class TrustObjectBook implements ObjectSink {
  readonly #books: Books = {
    RootTrustPolicy: new Map(),
    CASource: new Map(),
    IdentityProvider: new Map(),
    KubernetesCluster: new Map(),
    Workspace: new Map(),
    WorkspaceSettings: new Map(),
  };
  readonly #observers = new Set<() => void>();

  /** Live: it changes before observers are called. */
  get objects(): TrustObjects {
    return this.#books;
  }

  /** Calls `observer` after every change of what is known; an object that only got another status is none. */
  observe(observer: () => void): Disposable {
    const own = (): void => observer();
    this.#observers.add(own);
    return { [Symbol.dispose]: () => void this.#observers.delete(own) };
  }

  /** Never throws. Objects of other kinds are ignored. */
  set(object: KubeObject, origin: string): void {
    if (isTrustKind(object.kind, object.apiVersion)) this.#put(object.kind as TrustKind, object, origin);
  }

  /** Absent objects and other kinds are ignored. */
  delete({ kind, apiVersion, metadata }: ObjectReference): void {
    const place = placeOf(metadata, false);
    if (!place || !isTrustKind(kind, apiVersion)) return;
    if (this.#books[kind as TrustKind].delete(`${place.namespace}/${bookName(place.name)}`)) this.#tell();
  }

  #put<Kind extends TrustKind>(kind: Kind, object: KubeObject, origin: string): void {
    const read = readMetadata(object, origin);
    const metadata = read instanceof FieldError ? bareMetadata(object.metadata, NO_CLUSTER, origin) : read;
    // No API server has an object in a namespace that cannot be.
    if (metadata === undefined) return;
    const book: Map<string, Known<TrustValues[Kind]>> = this.#books[kind];
    const key = `${metadata.namespace}/${metadata.name}`;
    const before = book.get(key);
    const id = trustObjectId(kind, metadata);
    // One that was made anew under the same name is another one.
    const same = before?.id.createdMs === id.createdMs ? before : undefined;
    const known = knownObject(kind, id, read, object, same);
    if (isDeepStrictEqual(before, known)) return;
    book.set(key, known);
    this.#tell();
  }

  #tell(): void {
    for (const observer of [...this.#observers]) observer();
  }
}

function readMetadata(object: KubeObject, origin: string): Metadata | FieldError {
  try {
    return metadataOf(object.metadata, NO_CLUSTER, origin, false);
  } catch (error) {
    if (error instanceof FieldError) return error;
    throw error;
  }
}
