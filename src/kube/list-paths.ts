import type { Random } from "../host.ts";
import { pathOf, type ResourceType } from "./api.ts";

/** Which objects of a kind. */
export interface Selection {
  readonly type: ResourceType;
  readonly namespace?: string;
  readonly labelSelector?: string;
  readonly fieldSelector?: string;
}

const PAGE_OBJECTS = 500;

/** What a server is asked, to list and watch a selection in one version of its kind. */
export class ListPaths {
  readonly #selection: Selection;
  readonly #random: Random;
  version: string;

  constructor(selection: Selection, random: Random) {
    this.#selection = selection;
    this.#random = random;
    this.version = selection.type.versions[0]!;
  }

  /** No version is asked for, which makes it a consistent read; an empty token asks for the first page. */
  page(token: string): string {
    return this.#path({
      limit: `${this.#selection.type.pageObjects ?? PAGE_OBJECTS}`,
      ...(token === "" ? {} : { continue: token }),
    });
  }

  watch(from: string): string {
    return this.#path({ ...this.#watch(), resourceVersion: from });
  }

  /** Without a version this is a consistent read, too. */
  streamedList(): string {
    return this.#path({ ...this.#watch(), sendInitialEvents: "true", resourceVersionMatch: "NotOlderThan" });
  }

  /** The time after which the server ends it varies, so that not all kinds come back at once. */
  #watch(): Readonly<Record<string, string>> {
    const timeoutSeconds = `${Math.floor(290 + 300 * this.#random.next())}`;
    return { watch: "true", allowWatchBookmarks: "true", timeoutSeconds };
  }

  #path(query: Readonly<Record<string, string>>): string {
    const { type, namespace, labelSelector, fieldSelector } = this.#selection;
    const all = new URLSearchParams(query);
    if (labelSelector !== undefined) all.set("labelSelector", labelSelector);
    if (fieldSelector !== undefined) all.set("fieldSelector", fieldSelector);
    return `${pathOf(type, this.version, namespace)}?${all.toString()}`;
  }
}
