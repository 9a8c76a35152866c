/** A window over the page: the browser keeps the focus in it, Escape closes it. */
import type { ComponentChildren } from "preact";
import { useLayoutEffect, useRef } from "preact/hooks";
import { CloseIcon } from "./icons";

type Props = { title: string; close: () => void; children: ComponentChildren; onKey?: (key: string) => void };

export function Dialog({ title, close, children, onKey }: Props) {
    const element = useRef<HTMLDialogElement>(null);
    const heading = useRef<HTMLHeadingElement>(null);
    // Before the next key comes, which may be pressed at once.
    useLayoutEffect(() => {
        element.current?.showModal();
        heading.current?.focus();
    }, []);
    return (
        <dialog
            ref={element}
            aria-label={title}
            onClose={close}
            onClick={(event) => event.target === element.current && close()}
            onKeyDown={(event) => onKey?.(event.key)}
        >
            <div class="dialog">
                <header>
                    <h2 tabIndex={-1} ref={heading}>
                        {title}
                    </h2>
                    <button type="button" class="bare" aria-label="Close" onClick={close}>
                        <CloseIcon />
                    </button>
                </header>
                {children}
            </div>
        </dialog>
    );
}
