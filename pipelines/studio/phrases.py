"""The phrases of the studio's personas: people, sentence templates, and tastes in words.

Placeholders: {s}, {es}, {ies}, {is}, {has} agree with the subject; {they}, {them}, {their} stand
for the person; {my} and {a} are "my aunt" and "an aunt", {noun} is "aunt". Of an interest, {does}
is in the third person, {do} agrees with the pronoun before it, {loves} is a noun or a gerund.
"""

from typing import Final

PRONOUNS: Final = {
    "she": ("she", "her", "her", "herself"),
    "he": ("he", "him", "his", "himself"),
    "they": ("they", "them", "their", "themselves"),
    "I": ("I", "me", "my", "myself"),
}
SINGULAR: Final = {"s": "s", "es": "es", "ies": "ies", "is": "is", "has": "has"}
PLURAL: Final = {"s": "", "es": "", "ies": "y", "is": "are", "has": "have"}
FIRST_PERSON: Final = {**PLURAL, "is": "am"}

# noun, pronoun, ages
RELATIONS: Final = tuple(
    (noun, pronoun, tuple(ages.split()))
    for noun, pronoun, ages in (
        ("mother", "she", "adult senior"),
        ("father", "he", "adult senior"),
        ("stepmother", "she", "adult senior"),
        ("stepfather", "he", "adult senior"),
        ("grandmother", "she", "senior"),
        ("grandfather", "he", "senior"),
        ("great-aunt", "she", "senior"),
        ("aunt", "she", "adult senior"),
        ("uncle", "he", "adult senior"),
        ("mother-in-law", "she", "adult senior"),
        ("father-in-law", "he", "adult senior"),
        ("godmother", "she", "adult senior"),
        ("godfather", "he", "adult senior"),
        ("wife", "she", "young adult senior"),
        ("husband", "he", "young adult senior"),
        ("girlfriend", "she", "young adult"),
        ("boyfriend", "he", "young adult"),
        ("fiancée", "she", "young adult"),
        ("partner", "they", "young adult senior"),
        ("sister", "she", "young adult"),
        ("brother", "he", "young adult"),
        ("sister-in-law", "she", "young adult"),
        ("brother-in-law", "he", "young adult"),
        ("cousin", "they", "child young adult"),
        ("dear friend", "she", "young adult senior"),
        ("old school friend", "he", "adult senior"),
        ("pen pal", "they", "young adult"),
        ("flatmate", "they", "young"),
        ("colleague", "she", "young adult"),
        ("boss", "he", "adult"),
        ("teacher", "she", "adult"),
        ("neighbour", "they", "adult senior"),
        ("landlady", "she", "senior"),
        ("student", "he", "young"),
        ("daughter", "she", "child young"),
        ("son", "he", "child young"),
        ("niece", "she", "baby child young"),
        ("nephew", "he", "baby child young"),
        ("granddaughter", "she", "baby child young"),
        ("grandson", "he", "baby child young"),
        ("goddaughter", "she", "baby child"),
        ("godson", "he", "baby child"),
        ("little sister", "she", "baby child"),
        ("little brother", "he", "baby child"),
        ("grandchild", "they", "baby child"),
        ("friend's daughter", "she", "baby child"),
        ("neighbour's son", "he", "baby child"),
    )
)

# Without a final stop: a note, which a taste may continue. At a bar, more sentences may go in.
FOR_OTHERS: Final = (
    "a gift for {a} who {does}",
    "a present for {a} who loves {loves}",
    "birthday present, {noun} who {does}",
    "something to thank {a} who {does}",
    "a little surprise for {my}, who cannot get enough of {loves}",
    "Secret Santa for {a} who is mad about {loves}",
    "a treat for {a} who never gets tired of {loves}",
    "Looking for something for {my}, who {does}.",
    "{my} {does}.| What would {they} like?",
    "What do you get {a} who {does}?",
    "What would delight {a} who loves {loves}?",
    "{my} is mad about {loves}.| What would be the right thing for {them}?",
    "Dear shop, {my} {does}.| Please surprise {them}.",
    "It is {my}'s birthday soon, and {they} love{s} {loves}.",
    "Birthday idea for {my}: {they} {do}.",
    "Nothing makes {my} happier than {loves}.",
    "{my} lives for {loves}.",
    "Could you recommend something for {a} who {does}?",
    "Meet {my}: {they} {do}.",
    "Help! It is {my}'s birthday tomorrow, and all I know is that {they} {do}.",
    "I want to spoil {my} a bit: {they} {do}.",
    "Christmas is coming, and {my} is very fond of {loves}.| Any ideas?",
    "We are all chipping in for {my}, who {does}.",
    "If you know {my}, you know how much {they} love{s} {loves}.",
    "{my} never stops talking about {loves}.",
    "I would like to give {my} something that {they} will really use: {they} {do}.",
    "There is nobody like {my}: {they} {do}.",
    "This is my way of saying thank you to {my}, who {does}.",
    "With {my}, everything is about {loves}.",
    "Hello! I am searching on behalf of {my}. What matters to {them}: {loves}.",
)
FOR_MYSELF: Final = (
    "I {do}.",
    "I love {loves}.",
    "Something for me: I {do}.",
    "I want to treat myself, because I {do}.",
    "My idea of happiness: {loves}.",
    "I am mad about {loves}.| What do you have for people like me?",
    "Hello, I {do}, and I would like something that fits.",
    "What would you recommend to me? I {do}.",
    "My friends say that I only ever think of {loves}.",
    "For once a present from me to me. I {do}.",
    "a treat for myself, to go with {loves}",
)
FOR_SOMEONE: Final = (
    "somebody who {does}",
    "for people with a passion for {loves}",
    "gift ideas for someone who {does}",
    "for someone who loves {loves}",
    "The right thing for anybody who loves {loves}.",
)
SECOND: Final = (
    "Besides, {they} {do}.",
    "And {they} love{s} {loves}, too.",
    "What is more, {they} {do}.",
    "{their} other passion: {loves}.",
    "{they} {is} also very fond of {loves}.",
    "Another thing about {them}: {they} {do}.",
    "Almost as important to {them}: {loves}.",
)

# How a taste is worded, and how strong that is: 0 .. 1 on the scale of TASTE_WEIGHTS.
COLOR_NAMED: Final = (
    (1.0, "It simply has to be {x}."),
    (1.0, "{x} is the only colour for {them}."),
    (1.0, "{they} own{s} hardly anything that is not {x}."),
    (1.0, "Above all, it should be {x}."),
    (0.5, "Anything {x} makes {them} happy."),
    (0.5, "{their} favourite colour is {x}."),
    (0.5, "{they} love{s} {x}."),
    (0.5, "{they} {is} the one in the {x} coat."),
    (0.5, "{they} would paint the whole world {x}."),
    (0.5, "{their} whole room is {x}, which says it all."),
    (0.0, "Something {x} would be nice."),
    (0.0, "If it comes in {x}, even better."),
    (0.0, "Perhaps in {x}?"),
    (0.0, "{they} would not say no to something {x}."),
)
COLOR_LIKENED: Final = (
    (1.0, "It has to be {x}."),
    (1.0, "Above all, it should be {x}."),
    (0.5, "{they} love{s} {x}."),
    (0.5, "Anything {x} makes {them} smile."),
    (0.0, "{x} would suit {them}."),
    (0.0, "Perhaps in {x}?"),
)
SHARE_OF_LIKENED: Final = 0.2
LIKENESSES: Final = {
    "red": ("ripe tomatoes", "a fire engine", "strawberries", "poppies"),
    "orange": ("ripe tangerines", "carrots", "apricots", "marigolds"),
    "yellow": ("sunflowers", "lemons", "a canary", "egg yolk"),
    "green": ("fresh moss", "young grass", "limes", "fir trees"),
    "blue": ("a clear summer sky", "cornflowers", "forget-me-nots", "the open sea"),
    "purple": ("ripe plums", "aubergines", "a lavender field", "lilac in bloom"),
    "pink": ("flamingos", "cherry blossom", "candyfloss", "bubblegum"),
    "brown": ("chestnuts", "hazelnuts", "toffee", "walnut wood"),
    "black": ("coal", "a raven", "liquorice", "soot"),
    "white": ("fresh snow", "milk", "a swan", "whipped cream"),
}
PATTERN: Final = (
    (1.0, "{they} cannot resist {x}."),
    (1.0, "{x} are a must."),
    (1.0, "{they} want{s} {x} on everything."),
    (0.5, "{they} {has} a weakness for {x}."),
    (0.5, "{they} love{s} {x}."),
    (0.5, "You rarely see {them} without {x}."),
    (0.0, "{x} would be a nice touch."),
    (0.0, "{they} {is} rather partial to {x}."),
    (0.0, "How about {x}?"),
)
PATTERN_WORDS: Final = {
    "striped": ("stripes", "broad stripes", "sailor stripes"),
    "polka-dot": ("polka dots", "dots", "spots"),
    "checked": ("checks", "gingham checks", "tartan checks"),
    "zigzag": ("zigzags", "zigzag lines", "chevrons"),
}
MOTIF: Final = (
    (1.0, "{they} put{s} {x} on everything."),
    (1.0, "There have to be {x} on it."),
    (1.0, "{they} {is} obsessed with {x}."),
    (0.5, "{they} {has} a soft spot for {x}."),
    (0.5, "{x} always make {them} smile."),
    (0.5, "You will find {x} on all {their} things."),
    (0.5, "{their} weakness: {x}."),
    (0.0, "{they} like{s} things with {x} on them."),
    (0.0, "A few {x} on it would be sweet."),
    (0.0, "If there were {x} on it, so much the better."),
)
MOTIF_WORDS: Final = {
    "star": ("stars", "little stars"),
    "heart": ("hearts", "little hearts"),
    "leaf": ("leaves", "falling leaves"),
    "flower": ("flowers", "blossoms"),
    "cat": ("cats", "kittens"),
    "fish": ("fish", "little fish"),
    "moon": ("moons", "crescent moons"),
    "anchor": ("anchors", "sailors' anchors"),
}
SIMPLE: Final = (
    (1.0, "No patterns, nothing printed on it, please."),
    (1.0, "{they} cannot stand patterns and decorations."),
    (0.5, "{they} like{s} things simple, no fuss."),
    (0.5, "The plainer the better."),
    (0.5, "Nothing fussy: {they} prefer{s} it plain."),
    (0.0, "No frills, if possible."),
)
ALL_IN_ONE: Final = (
    (1.0, "{they} cannot get enough of {x}."),
    (0.5, "{they} like{s} {x}."),
    (0.5, "{x} would be perfect."),
    (0.5, "{they} {is} easily won over by {x}."),
    (0.0, "Bonus points for {x}."),
    (0.0, "Perhaps something that goes with {their} taste: {x}."),
)
TAILS: Final = (
    (1.0, "definitely"),
    (0.5, "ideally"),
    (0.5, "preferably"),
    (0.0, "maybe"),
    (0.0, "if possible"),
)
