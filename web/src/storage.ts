/** What the browser keeps for the page; browsers that were told to keep nothing throw at the mere question. */

export function kept(where: "local" | "session", key: string): string | null {
    try {
        return window[`${where}Storage`].getItem(key);
    } catch {
        return null;
    }
}

export function keep(where: "local" | "session", key: string, value: string): void {
    try {
        window[`${where}Storage`].setItem(key, value);
    } catch {
        // Then it is forgotten with the page.
    }
}
