/* Sends the next request of an action that has more to do than one request may. */
document.querySelector("form[data-a2a-go-on]")?.submit();
