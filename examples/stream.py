"""An answer as it comes, and a second turn that goes on from it.

python examples/stream.py
"""

from infeng import LLM, SamplingParams
from infeng.chat_session import ChatSession


def main() -> None:
    with LLM() as llm:
        chat = ChatSession(llm)
        for question in ("Name a river in Europe.", "Through which countries does it flow?"):
            print(f"> {question}")
            for event in chat.ask(question, SamplingParams(max_tokens=40, seed=1)):
                print(event.text, end="", flush=True)
            print()


if __name__ == "__main__":
    main()
