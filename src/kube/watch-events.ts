import { ApiError, type WatchEvent } from "./api.ts";
import { isFields } from "./fields.ts";
import { isResourceVersion, type Mirror } from "./mirror.ts";
import type { ReflectorReports } from "./reflector-reports.ts";

/** What an event means for the watch it came in: it goes on unless it says otherwise. */
export type EventOutcome =
  | { readonly is: "taken" }
  /** The streamed list is complete as of `version`; what comes next is a watch. */
  | { readonly is: "listed"; readonly version: string; readonly keys: ReadonlySet<string> }
  /** Neither the list that is streamed can be trusted, nor that nothing was missed. */
  | { readonly is: "broken"; readonly how: string }
  /** The server has ended the watch. */
  | { readonly is: "error"; readonly error: ApiError };

const TAKEN: EventOutcome = { is: "taken" };
const BACK: EventOutcome = { is: "broken", how: "the watch went back to an older version, as after a restore" };

/** Reads the events of one kind's watches into a mirror, whether they are a list that is streamed or changes. */
export class WatchEvents {
  readonly #mirror: Mirror;
  readonly #reports: ReflectorReports;
  /** Where the next watch begins; undefined if a list must come first. */
  from: string | undefined;
  /** What a list that is streamed has brought so far; undefined if none is. */
  streamed: Set<string> | undefined;

  constructor(mirror: Mirror, reports: ReflectorReports) {
    this.#mirror = mirror;
    this.#reports = reports;
  }

  take({ type, object }: WatchEvent): EventOutcome {
    if (type === "ADDED" || type === "MODIFIED" || type === "DELETED") return this.#change(type, object);
    if (type === "BOOKMARK") return this.#bookmark(object);
    if (type === "ERROR") return { is: "error", error: statusError(object) };
    this.#reports.skipped("type", String(type).slice(0, 80));
    return TAKEN;
  }

  #change(type: "ADDED" | "MODIFIED" | "DELETED", value: unknown): EventOutcome {
    const object = this.#mirror.identify(value);
    if (!object) {
      // In a list it would be an object that looks deleted.
      if (this.streamed)
        return { is: "broken", how: "the streamed list has an object of another kind, or without a name" };
      this.#reports.skipped("object", type);
      return TAKEN;
    }
    if (type !== "DELETED" && this.#isBack(object.resourceVersion)) return BACK;
    if (type === "DELETED") {
      this.streamed?.delete(object.key);
      if (this.#mirror.delete(object.key)) this.#reports.events("delete");
    } else {
      this.streamed?.add(object.key);
      this.#reports.events(this.#mirror.set(object) ? "add" : "update");
    }
    // From a version that makes no sense nothing could be resumed; from the one before, this event comes again.
    if (!this.streamed) this.from = object.resourceVersion ?? this.from;
    return TAKEN;
  }

  #bookmark(value: unknown): EventOutcome {
    const metadata = isFields(value) && isFields(value["metadata"]) ? value["metadata"] : {};
    const { annotations, resourceVersion } = metadata;
    const last = isFields(annotations) && annotations["k8s.io/initial-events-end"] === "true";
    if (!isResourceVersion(resourceVersion)) {
      if (last && this.streamed) return { is: "broken", how: "the streamed list ends without a version to watch from" };
      this.#reports.skipped("version", String(resourceVersion).slice(0, 80));
      return TAKEN;
    }
    if (this.streamed) return last ? { is: "listed", version: resourceVersion, keys: this.streamed } : TAKEN;
    if (this.#isBack(resourceVersion)) return BACK;
    this.from = resourceVersion;
    return TAKEN;
  }

  /** Versions of one watch only grow, unless the server was restored from a backup; a list tells what is left. */
  #isBack(version: string | undefined): boolean {
    if (version === undefined || this.from === undefined || this.streamed) return false;
    return version.length < this.from.length || (version.length === this.from.length && version < this.from);
  }
}

/** The Status object of an ERROR event. */
function statusError(object: unknown): ApiError {
  const { code, reason, message } = isFields(object) ? object : {};
  const status = typeof code === "number" ? code : 500;
  const text = typeof message === "string" ? message.slice(0, 500) : "the watch ended with an error that says nothing";
  return new ApiError("unavailable", text, status, typeof reason === "string" ? reason : "");
}
