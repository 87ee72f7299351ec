import { MeshError } from "../errors.ts";
import type { ResourceRelations, TypeUrl } from "./resource.ts";

/** Longer names are of no resource: the longest is two Kubernetes names and a cluster, some 800 characters. */
const NAME_CHARACTERS_MAX = 1024;

/** What one client asked for by name, and what it has got: what makes a change its business. */
export class Demand {
  /** Names and aliases, whether or not they exist. */
  readonly #demanded = new Set<string>();
  /** Resources sent and not removed since, demanded or not. */
  readonly #held = new Set<string>();

  constructor(
    readonly relations: ResourceRelations,
    /** Its workloads come unasked; empty for none. */
    readonly nodeName: string,
  ) {}

  get size(): number {
    return this.#demanded.size;
  }
  add(name: string): void {
    this.#demanded.add(name);
  }
  /** As `add`. @throws MeshError `invalid` for a name too long, `exhausted` for one more than `namesMax`. */
  ask(name: string, typeUrl: TypeUrl, namesMax: number): void {
    if (name.length > NAME_CHARACTERS_MAX) {
      const message = `a subscribed name of ${typeUrl} has ${name.length} characters; ${NAME_CHARACTERS_MAX} is the most`;
      throw new MeshError("invalid", message);
    }
    this.add(name);
    if (this.size <= namesMax) return;
    const message = `more than ${namesMax} names of ${typeUrl} are subscribed to; subscribe to * instead`;
    throw new MeshError("exhausted", message);
  }
  withdraw(name: string): void {
    this.#demanded.delete(name);
    this.#held.delete(name);
  }
  has(name: string): boolean {
    return this.#demanded.has(name);
  }

  /** @returns true if the client did not hold it before. */
  hold(name: string): boolean {
    if (this.#held.has(name)) return false;
    this.#held.add(name);
    return true;
  }
  /** What the client has got. */
  held(): Iterable<string> {
    return this.#held;
  }
  holds(name: string): boolean {
    return this.#held.has(name);
  }
  release(name: string): void {
    this.#held.delete(name);
  }

  /** The workloads of the client's node. */
  nearby(): Iterable<string> {
    return this.nodeName === "" ? [] : this.relations.onNode(this.nodeName);
  }

  /** Those of `changed` that concern this client. */
  *concerning(changed: Iterable<string>): Iterable<string> {
    let nearby: ReadonlySet<string> | undefined;
    const follows = (name: string) => this.#demanded.has(name) || this.#held.has(name);
    for (const name of changed) {
      const concerns =
        follows(name) ||
        this.relations.aliases(name).some(follows) ||
        this.relations.followedThrough(name).some(follows) ||
        (nearby ??= new Set(this.nearby())).has(name);
      if (concerns) yield name;
    }
  }
}
